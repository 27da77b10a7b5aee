"""Paths of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 6531 section 3.3), read without the email library. No I/O."""

import re

MAX_ADDRESS = 320
"""64 + "@" + 255 characters (RFC 5321 section 4.5.3.1). The local part has no limit of its own: SRS and VERP senders
pass 64 in the wild, and the next hop, whose reply is passed on, knows its own recipients best."""
MAX_DOMAIN = 255

# Dots may stand anywhere in a local part: Japanese carriers gave out addresses with two in a row or one at the end.
_LOCAL = r'[A-Za-z0-9!#$%&\'*+/=?^_`{|}~.\-\u0080-\U0010ffff]+|"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"'
_LABEL = r"[A-Za-z0-9_\u0080-\U0010ffff](?:[A-Za-z0-9_\-\u0080-\U0010ffff]*[A-Za-z0-9_\u0080-\U0010ffff])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*|\[[!-Z^-~]+\]"
_ADDRESS = re.compile(rf"(?:{_LOCAL})@(?P<domain>{_DOMAIN})")
_ROUTE = re.compile(rf"@(?:{_DOMAIN})(?:,@(?:{_DOMAIN}))*:")
_PATH = re.compile(r'<(?P<path>(?:"(?:[^"\\]|\\.)*+"|[^">])*+)>(?P<rest>.*)')


def split_path(text: str) -> tuple[str, str] | None:
    """`text`, which begins with "<", as the inside of the angle brackets and what follows; None when it has no end.

    A ">" inside a quoted local part does not end it.
    """
    found = _PATH.fullmatch(text)
    return (found["path"], found["rest"]) if found else None


def read_address(path: str) -> str | None:
    """The mailbox in `path` without its source route (ignored, RFC 5321 appendix F.2); None when it is not one.

    Too long, controls, no domain: none of these is an address.
    """
    route = _ROUTE.match(path)
    address = path[route.end() :] if route else path
    if len(address.encode()) > MAX_ADDRESS:
        return None
    found = _ADDRESS.fullmatch(address)
    return address if found and len(found["domain"].encode()) <= MAX_DOMAIN else None
