"""Text of others made fit for a header field: no controls, nothing but ASCII, lines that are short enough.

RFC 5322 section 2.1.1: a line should have 78 characters at most and must not have more than 998.
"""

_WIDTH = 78
_LONGEST_WORD = 900


def harmless(text: str, limit: int) -> str:
    """`text` as printable ASCII of at most `limit` characters: it cannot end its field, nor hide in it.

    White space and controls become single spaces; what else is not ASCII is left out.
    """
    spaced = text[: limit * 4]
    if not spaced.isprintable():
        spaced = "".join(character if character.isprintable() else " " for character in spaced)
    return " ".join(spaced.encode("ascii", "ignore").decode("ascii").split())[:limit].strip()


def folded(name: str, text: str) -> bytes:
    """The field `name` with the words of `text` (harmless already), folded at spaces and ended by CRLF.

    A line is over 78 characters only where a word is, and a word is cut at 900.
    """
    lines = [f"{name}:"]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > _WIDTH and lines != [f"{name}:"]:
            lines.append("")
        lines[-1] += f" {word[:_LONGEST_WORD]}"
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
