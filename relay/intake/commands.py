"""Arguments of EHLO, MAIL, RCPT and BDAT: text in, values out; Refused where they are wrong. No I/O.

MAIL and RCPT: RFC 5321 section 4.1.1; SIZE: RFC 1870; BODY: RFC 6152; SMTPUTF8: RFC 6531; RET, ENVID, NOTIFY, ORCPT:
RFC 3461; AUTH= (accepted and ignored): RFC 4954 section 5; BDAT: RFC 3030.
"""

import re
from collections.abc import Callable

from relay import replies
from relay.errors import Refused
from relay.intake.addresses import read_address, split_path
from verdicts.mail import Envelope, Recipient

Parameters = dict[str, str | None]

# Nearly every path there is, and what parameters it has: one match, no further look.
_PLAIN = re.compile(
    r"(?:FROM|TO): ?<(?P<address>(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)?)>"
    r"(?P<rest>(?: [!-~]+)*) *",
    re.IGNORECASE,
)
_PLAIN_LIMIT = 250
_PARAMETER = re.compile(r"(?P<key>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[^\x00-\x20\x7f]+))?")
_DIGITS = re.compile(r"[0-9]{1,20}")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})+")
_ORCPT = re.compile(r"[A-Za-z0-9-]+;[!-<>-~\u0080-\U0010ffff]+")
_GREETING = re.compile(r"[!-~]{1,255}")
_BDAT = re.compile(r"(?P<size>[0-9]{1,20})(?: +(?P<last>LAST))? *", re.IGNORECASE)
_NOTIFY_EVENTS = {"SUCCESS", "FAILURE", "DELAY"}


def _wrong(reply: replies.Reply) -> Refused:
    return Refused(reply, "syntax")


def read_greeting(argument: str) -> str:
    """The name in EHLO or HELO: a word of printable ASCII, taken as it is. Raises Refused."""
    name = argument.strip()
    if not _GREETING.fullmatch(name):
        raise _wrong(replies.NAME_NEEDED)
    return name


def read_mail(argument: str) -> Envelope:
    """The envelope that a MAIL command begins. Raises Refused: 501, 553 or 555."""
    sender, rest = _address(argument, "FROM:", replies.MAIL_SYNTAX, replies.BAD_SENDER)
    if sender and "@" not in sender:
        raise _wrong(replies.BAD_SENDER)
    if not rest and argument.isascii():
        return Envelope(sender)
    values = _parameters(rest, _MAIL)
    smtputf8 = "SMTPUTF8" in values
    _check_utf8(argument, smtputf8=smtputf8)
    size, body, ret = values.get("SIZE"), values.get("BODY"), values.get("RET")
    return Envelope(
        sender=sender,
        body=body.upper() if body else None,
        smtputf8=smtputf8,
        size=int(size) if size else None,
        ret=ret.upper() if ret else None,
        envid=values.get("ENVID"),
    )


def read_rcpt(argument: str, *, smtputf8: bool) -> Recipient:
    """The recipient that a RCPT command names; `smtputf8`: what MAIL said. Raises Refused: 501, 553 or 555."""
    address, rest = _address(argument, "TO:", replies.RCPT_SYNTAX, replies.BAD_RECIPIENT)
    if not address:
        raise _wrong(replies.BAD_RECIPIENT)
    if not rest and argument.isascii():
        return Recipient(address)
    values = _parameters(rest, _RCPT)
    _check_utf8(argument, smtputf8=smtputf8)
    return Recipient(address, values.get("NOTIFY"), values.get("ORCPT"))


def read_bdat(argument: str) -> tuple[int, bool]:
    """Size of the chunk, and whether it is the last. Raises Refused."""
    found = _BDAT.fullmatch(argument.strip())
    if not found:
        raise _wrong(replies.BDAT_SYNTAX)
    return int(found["size"]), found["last"] is not None


def _address(argument: str, keyword: str, syntax: replies.Reply, bad: replies.Reply) -> tuple[str, str]:
    """The address in the angle brackets (it may be empty, or "postmaster" alone), and the parameters behind them."""
    if argument[: len(keyword)].upper() != keyword:
        raise _wrong(syntax)
    if len(argument) <= _PLAIN_LIMIT and (plain := _PLAIN.fullmatch(argument)):
        return plain["address"], plain["rest"]
    split = split_path(argument[len(keyword) :].lstrip(" "))
    if not split or (split[1] and not split[1].startswith(" ")):
        raise _wrong(syntax)
    path, rest = split
    # RFC 5321 section 4.1.1.3: <postmaster> needs no domain.
    address = path if not path or path.lower() == "postmaster" else read_address(path)
    if address is None:
        raise _wrong(bad)
    return address, rest


def _check_utf8(argument: str, *, smtputf8: bool) -> None:
    if not smtputf8 and not argument.isascii():
        raise _wrong(replies.SMTPUTF8_NEEDED)


def _parameters(text: str, known: dict[str, Callable[[str | None], bool]]) -> Parameters:
    values: Parameters = {}
    for word in text.split():
        found = _PARAMETER.fullmatch(word)
        if not found:
            raise _wrong(replies.PARAMETER_SYNTAX)
        key, value = found["key"].upper(), found["value"]
        check = known.get(key)
        if check is None or (key == "BODY" and value and value.upper() == "BINARYMIME"):
            raise _wrong(replies.PARAMETER_UNKNOWN)
        if key in values or not check(value):
            raise _wrong(replies.PARAMETER_SYNTAX)
        values[key] = value
    return values


def _matches(pattern: re.Pattern[str], limit: int) -> Callable[[str | None], bool]:
    return lambda value: value is not None and len(value) <= limit and pattern.fullmatch(value) is not None


def _one_of(*words: str) -> Callable[[str | None], bool]:
    return lambda value: value is not None and value.upper() in words


def _notify(value: str | None) -> bool:
    """NEVER by itself, or events, each once (RFC 3461 section 4.1)."""
    if value is None or value.upper() == "NEVER":
        return value is not None
    events = value.upper().split(",")
    return len(events) == len(set(events)) and set(events) <= _NOTIFY_EVENTS


_MAIL: dict[str, Callable[[str | None], bool]] = {
    "SIZE": _matches(_DIGITS, 20),
    "BODY": _one_of("7BIT", "8BITMIME"),
    "SMTPUTF8": lambda value: value is None,
    "RET": _one_of("FULL", "HDRS"),
    "ENVID": _matches(_XTEXT, 100),
    "AUTH": lambda value: value is not None,
}
_RCPT: dict[str, Callable[[str | None], bool]] = {
    "NOTIFY": _notify,
    "ORCPT": _matches(_ORCPT, 500),
}
