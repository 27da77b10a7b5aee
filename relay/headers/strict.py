"""Whether a message's header section can be read in one way only."""


def header_is_strict(message: bytes) -> bool:
    """Whether each CR and LF before the first empty line of `message` is half of a CRLF (RFC 5322 section 2.2).

    Readers disagree on what a bare CR or LF ends; a field that hides behind one would be seen by some of them only.
    `message` may be cut off behind the header section.
    """
    section = b"\r\n" + message
    end = section.find(b"\r\n\r\n")
    if end >= 0:
        section = section[:end]
    pairs = section.count(b"\r\n")
    return section.count(b"\r") == pairs == section.count(b"\n")
