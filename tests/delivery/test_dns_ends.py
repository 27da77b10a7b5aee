"""The five ends of a question to the resolver, at a real name server and at slow, lying and broken ones."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from doubles.bad_names import PORT, answer, bad_names, somewhere
from doubles.real_named import real_named, txt

from relay.dns import DnsError, Resolver, Said

ZONE = (
    txt("text", "one")
    + "@ IN MX 10 mx\nnull IN MX 0 .\n"
    + "alias IN CNAME text\nlost IN CNAME nobody\nring1 IN CNAME ring2\nring2 IN CNAME ring1\nsub IN NS ns.sub\n"
)
BAD = (somewhere(), PORT)


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    with real_named(tmp_path_factory.mktemp("named"), {"acme.example": ZONE}) as address:
        yield address


@pytest.mark.parametrize(
    ("name", "kind", "said", "records", "alias"),
    [
        ("text.acme.example", "TXT", Said.FOUND, ("one",), ""),
        ("acme.example", "MX", Said.FOUND, ("10 mx.acme.example",), ""),
        ("null.acme.example", "MX", Said.FOUND, ("0 ",), ""),
        ("acme.example", "NS", Said.FOUND, ("ns.acme.example",), ""),
        ("alias.acme.example", "TXT", Said.FOUND, ("one",), "text.acme.example"),
        ("alias.acme.example", "MX", Said.NO_RECORD, (), "text.acme.example"),
        ("text.acme.example", "MX", Said.NO_RECORD, (), ""),
        ("nobody.acme.example", "TXT", Said.NO_NAME, (), ""),
        ("lost.acme.example", "TXT", Said.NO_NAME, (), "nobody.acme.example"),
        ("x" * 64 + ".example", "TXT", Said.NO_NAME, (), ""),
        ("other.example", "TXT", Said.NO_ANSWER, (), ""),
        ("www.sub.acme.example", "TXT", Said.NO_ANSWER, (), ""),
    ],
)
async def test_ends_at_a_real_server(named, name, kind, said, records, alias):
    found = await Resolver([named], 1.0).ask(name, kind)
    assert (found.said, found.records, found.alias) == (said, records, alias)
    assert bool(found.detail) is (not said.certain or "x" * 64 in name)


async def test_who_gave_no_answer_is_told_as_the_configuration_names_it(named):
    found = await Resolver([named], 1.0).ask("other.example", "TXT")
    assert found.detail == f"{named}: it answered REFUSED"


def failing(code):
    def fail(question, send):
        made = answer(question)
        made.set_rcode(code)
        send(made.to_wire())

    return fail


def garbage(_question, send):
    send(b"\0garbage")


def cut(question, send):
    made = answer(question)
    made.flags |= dns.flags.TC
    send(made.to_wire())


def ring(question, send):
    made, name = answer(question), question.question[0].name
    made.answer.append(dns.rrset.from_text(name, 300, "IN", "CNAME", "other.example."))
    made.answer.append(dns.rrset.from_text("other.example.", 300, "IN", "CNAME", str(name)))
    send(made.to_wire())


@pytest.mark.parametrize(
    ("udp", "tcp", "said", "detail"),
    [
        (None, None, Said.NO_ANSWER, "no answer in time"),
        (failing(dns.rcode.SERVFAIL), None, Said.NO_ANSWER, "it answered SERVFAIL"),
        (failing(dns.rcode.REFUSED), None, Said.NO_ANSWER, "it answered REFUSED"),
        (failing(dns.rcode.YXDOMAIN), None, Said.NO_ANSWER, ""),
        (garbage, None, Said.NO_ANSWER, "no answer in time"),
        (cut, None, Said.NO_ANSWER, ""),
        (cut, garbage, Said.BROKEN, ""),
        (cut, lambda _question, _send: None, Said.NO_ANSWER, ""),
        (ring, None, Said.BROKEN, ""),
    ],
)
async def test_ends_at_a_bad_server(udp, tcp, said, detail):
    async with bad_names(*BAD, udp, tcp):
        resolver = Resolver(["{}:{}".format(*BAD)], 0.4)
        found = await resolver.ask("text.acme.example", "TXT")
        assert (found.said, found.records) == (said, ())
        assert detail in found.detail
        with pytest.raises(DnsError, match=r"text\.acme\.example: ."):
            await resolver.txt("text.acme.example")


async def test_a_second_server_answers_where_the_first_is_broken(named):
    async with bad_names(*BAD, cut, garbage):
        found = await Resolver(["{}:{}".format(*BAD), named], 1.0).ask("text.acme.example", "TXT")
    assert (found.said, found.records) == (Said.FOUND, ("one",))
