"""Text of others made fit for a header field: no controls, nothing but ASCII, lines that are short enough.

RFC 5322 section 2.1.1: a line should have 78 characters at most and must not have more than 998.
"""

_WIDTH = 78
_LONGEST_WORD = 900


def harmless(text: str, limit: int) -> str:
    """`text` as printable ASCII of at most `limit` characters: it cannot end its field, nor hide in it.

    White space and controls become single spaces; what else is not ASCII is left out.
    """
    text = text[: limit * 4]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    if not text.isascii():
        text = text.encode("ascii", "ignore").decode("ascii")
    return " ".join(text.split())[:limit].strip()


def folded(name: str, text: str) -> bytes:
    """The field `name` with the words of `text` (harmless already, one at least), folded at spaces and ended by CRLF.

    A line is over 78 characters only where a word is, and a word is cut at 900.
    """
    first, *others = text.split()
    line = f"{name}: {first[:_LONGEST_WORD]}"
    lines = []
    for word in others:
        if len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line = ""
        line += f" {word[:_LONGEST_WORD]}"
    return "\r\n".join([*lines, line, ""]).encode("ascii")
