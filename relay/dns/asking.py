"""One question to one server of a zone: by UDP, and by TCP as soon as there is any doubt."""

import secrets
import socket
from dataclasses import dataclass
from typing import Final

import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from relay.dns.answers import Said
from relay.dns.resolver import texts
from relay.dns.sockets import Weighing

PAYLOAD: Final = 1_232
"""Bytes of the largest answer by UDP: no path cuts these into pieces, which could be exchanged on the way."""
_UNREADABLE: Final = (dns.exception.DNSException, ValueError)


@dataclass(frozen=True, slots=True)
class Question:
    """The TXT records of `name`, for a server of `zone`."""

    name: dns.name.Name
    zone: dns.name.Name


@dataclass(frozen=True, slots=True)
class Reply:
    """What one server said, or why it said nothing."""

    said: Said
    records: tuple[str, ...] = ()
    detail: str = ""
    alias: dns.name.Name | None = None
    """Where a CNAME leads; `said` is then no answer yet."""
    zone: dns.name.Name | None = None
    """The zone below that other servers have (a referral, RFC 1034 section 4.3.2); `said` is then no answer yet."""
    servers: tuple[str, ...] = ()
    """The names of that zone's servers."""

    @property
    def leads_on(self) -> bool:
        """Whether the answer is elsewhere."""
        return self.alias is not None or self.zone is not None


async def ask(question: Question, address: str, port: int, seconds: float, way: Weighing | None = None) -> Reply:
    """Ask the server at `address`; `seconds` for UDP, and as many for TCP. Who shares a `way` reads one answer in each
    turn of the event loop. Raises nothing.

    No recursion is wanted. A UDP answer counts when it comes from that address and port, has our number, and repeats
    the name in the case that we chose at random: a liar who does not see the question has to guess all of it. After
    anything else (silence, a cut answer, one that cannot be read, a server that knows no EDNS) TCP is tried.
    """
    way = way or Weighing()
    try:
        return read(await _by_udp(question, address, port, seconds, way), question)
    except (*_UNREADABLE, OSError, EOFError):
        pass
    try:
        return read(await _by_tcp(question, address, port, seconds, way), question)
    except dns.exception.Timeout:
        return Reply(Said.NO_ANSWER, detail="no answer in time")
    except _UNREADABLE as error:
        return Reply(Said.BROKEN, detail=f"its answer cannot be read: {error}")
    except EOFError:
        return Reply(Said.NO_ANSWER, detail="it hung up")
    except OSError as error:
        return Reply(Said.NO_ANSWER, detail=f"no connection by TCP: {error}")


async def _by_udp(question: Question, address: str, port: int, seconds: float, way: Weighing) -> dns.message.Message:
    query = dns.message.make_query(_in_mixed_case(question.name), dns.rdatatype.TXT, use_edns=0, payload=PAYLOAD)
    query.flags &= ~dns.flags.RD
    where = (dns.inet.af_for_address(address), socket.SOCK_DGRAM, 0, None, (address, port))
    # Connected, so that the system passes over what others send, and tells at once when nobody listens.
    async with await way.make_socket(*where) as sock:
        answer = await dns.asyncquery.udp(
            query, address, seconds, port, sock=sock, ignore_unexpected=True, raise_on_truncation=True
        )
    if answer.rcode() in {dns.rcode.FORMERR, dns.rcode.NOTIMP, dns.rcode.BADVERS}:
        raise ValueError("it may know no EDNS")
    if answer.question and answer.question[0].name.labels != query.question[0].name.labels:
        raise ValueError("the name is not spelled as we did")
    return answer


async def _by_tcp(question: Question, address: str, port: int, seconds: float, way: Weighing) -> dns.message.Message:
    query = dns.message.make_query(question.name, dns.rdatatype.TXT)
    query.flags &= ~dns.flags.RD
    return await dns.asyncquery.tcp(query, address, seconds, port, backend=way)


def _in_mixed_case(name: dns.name.Name) -> dns.name.Name:
    """`name` with each letter large or small at random, a bit more to guess for each ("0x20")."""
    return dns.name.Name(
        bytes(secrets.choice((byte, byte ^ 0x20)) if chr(byte).isalpha() and byte < 0x80 else byte for byte in label)
        for label in name.labels
    )


def read(message: dns.message.Message, question: Question) -> Reply:
    """What a message says about the question. Never more than its sender has a say in: of other names, nothing."""
    code = message.rcode()
    if code not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return Reply(Said.NO_ANSWER, detail=f"it answered {dns.rcode.to_text(code)}")
    if not message.flags & dns.flags.AA:
        return _referral(message, question)
    found = message.get_rrset(message.answer, question.name, dns.rdataclass.IN, dns.rdatatype.TXT)
    if found is not None:
        return Reply(Said.FOUND, texts(found))
    alias = message.get_rrset(message.answer, question.name, dns.rdataclass.IN, dns.rdatatype.CNAME)
    if alias is not None:
        return Reply(Said.NO_ANSWER, detail=f"it is an alias of {str(alias[0].target).lower()}", alias=alias[0].target)
    if message.answer:
        return Reply(Said.BROKEN, detail="it answered something else")
    return Reply(Said.NO_NAME if code == dns.rcode.NXDOMAIN else Said.NO_RECORD)


def _referral(message: dns.message.Message, question: Question) -> Reply:
    """A way down to the servers of a zone between theirs and the name; up or sideways there is nothing to learn."""
    for rrset in message.authority:
        below = question.name.is_subdomain(rrset.name) and rrset.name.is_subdomain(question.zone)
        if rrset.rdtype == dns.rdatatype.NS and below and rrset.name != question.zone and not message.answer:
            names = tuple(record.target.to_text(omit_final_dot=True).lower() for record in rrset)
            return Reply(Said.NO_ANSWER, detail=f"others have {rrset.name}", zone=rrset.name, servers=names)
    return Reply(Said.NO_ANSWER, detail="it has no say in this zone")
