import asyncio
import contextlib
from dataclasses import dataclass, field

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from doubles.fed import fed
from doubles.processes import frozen
from doubles.real_clamd import EICAR
from doubles.real_milters import real_clamav_milter, real_opendkim
from doubles.scripted import scripted
from hypothesis import given
from hypothesis import strategies as st
from miltertest.codec import decode_msg, encode_msg
from pydantic import ValidationError

from verdicts.contract import Finding, Outcome, Severity, Unscanned
from verdicts.engines.milter import Milter
from verdicts.kit import PretendClock, assert_contract, letter, mail_of, pretend_tools
from verdicts.mail import Session, Tls
from verdicts.panel import Panel, Seat
from verdicts.protocols.milter import Offer, Packet, Steps, read_packet, read_words, words

OUTSIDE = [("X-Forefront-Antispam-Report", "CIP:203.0.113.9;H:helo.sender.example;PTR:mail.sender.example;SCL:1")]
OUTSIDE_SIX = [("X-Forefront-Antispam-Report", "CIP:2001:db8::9;H:helo.sender.example;PTR:None;SCL:1")]
CONTINUE, ACCEPT, REJECT = encode_msg("c"), encode_msg("a"), encode_msg("r")
SILENT = {
    "C": Steps.SILENT_CONNECT, "H": Steps.SILENT_HELO, "M": Steps.SILENT_MAIL, "R": Steps.SILENT_RCPT,
    "T": Steps.SILENT_DATA, "L": Steps.SILENT_HEADERS, "N": Steps.SILENT_EOH, "B": Steps.SILENT_BODY,
}  # fmt: skip
SKIPPED = {
    "C": Steps.NO_CONNECT, "H": Steps.NO_HELO, "M": Steps.NO_MAIL, "R": Steps.NO_RCPT, "T": Steps.NO_DATA,
    "L": Steps.NO_HEADERS, "N": Steps.NO_EOH, "B": Steps.NO_BODY,
}  # fmt: skip


def silence(*commands):
    steps = Steps(0)
    for command in commands:
        steps |= SILENT[command]
    return steps


@dataclass
class Filter:
    """A milter that takes what it is told apart, and answers what the test wants."""

    answers: dict = field(default_factory=dict)
    steps: int = 0
    version: int = 6
    actions: int = 0x1FF
    binary: bool = False
    told: list = field(default_factory=list)
    macros: dict = field(default_factory=dict)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader, writer):
        command = ""
        try:
            while command != "Q":
                length = await reader.readexactly(4)
                command, values = self.decoded(length, await reader.readexactly(int.from_bytes(length, "big")))
                self.told.append((command, values))
                answer = self.answer(command, values)
                if answer is None:
                    return
                writer.write(answer)
        finally:
            self.gone.set()

    def decoded(self, length, content):
        assert len(content) - 1 <= 65_535
        if self.binary:
            return content[:1].decode(), content[1:]
        command, values, rest = decode_msg(length + content)
        assert rest == b""
        return command, values

    def answer(self, command, values):
        if command == "D" and not self.binary:
            names = values["nameval"]
            self.macros[values["cmdcode"]] = dict(zip(names[::2], names[1::2], strict=True))
        silent = command in "DAQ" or self.steps & SILENT.get(command, 0)
        offer = encode_msg("O", version=self.version, actions=self.actions, protocol=int(self.steps))
        return self.answers.get(command, offer if command == "O" else b"" if silent else CONTINUE)

    def commands(self):
        return "".join(command for command, _ in self.told if command != "D")

    def values(self, command):
        return [values for told, values in self.told if told == command]


@contextlib.asynccontextmanager
async def asking(milter, **options):
    async with scripted(milter.serve) as address:
        yield Milter(Milter.Options(address=address, hostname="mx.test", **options), pretend_tools())


async def judge(milter, message=None, **options):
    async with asking(milter, **options) as engine:
        try:
            return await engine.judge(message or mail_of(letter()))
        finally:
            await asyncio.wait_for(milter.gone.wait(), 5)


async def test_what_it_is_told():
    milter = Filter()
    session = Session("S1", "40.107.0.1", tls=Tls("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
    message = letter("One.\r\n", headers=[*OUTSIDE, ("X-Folded", " a\r\n\tb")])
    mail = mail_of(message, session=session, recipients=("bob@acme.example", "eve@acme.example"))
    assert await judge(milter, mail) == []
    assert milter.commands() == "OCHMRRT" + "L" * 10 + "NBEQ"
    assert milter.values("C") == [
        {"hostname": "mail.sender.example", "family": "4", "port": 0, "address": "203.0.113.9"}
    ]
    assert milter.values("H") == [{"helo": "helo.sender.example"}]
    assert milter.values("M") == [{"args": ["<ann@sender.example>"]}]
    assert milter.values("R") == [{"args": ["<bob@acme.example>"]}, {"args": ["<eve@acme.example>"]}]
    assert milter.values("L")[1] == {"name": "X-Folded", "value": "a\n\tb"}
    assert milter.values("L")[4] == {"name": "Subject", "value": "A letter"}
    assert milter.values("B") == [{"buf": "One.\r\n"}]
    assert milter.macros["C"].items() >= {
        "j": "mx.test", "_": "mail.sender.example [203.0.113.9]", "{client_addr}": "203.0.113.9",
        "{client_name}": "mail.sender.example", "{client_ptr}": "mail.sender.example",
    }.items()  # fmt: skip
    assert milter.macros["H"] == {"{tls_version}": "TLSv1.3", "{cipher}": "TLS_AES_256_GCM_SHA384"}
    assert milter.macros["M"].items() >= {"i": "S1", "{mail_addr}": "ann@sender.example"}.items()
    assert milter.macros["R"].items() >= {"{rcpt_addr}": "eve@acme.example", "{rcpt_host}": "acme.example"}.items()
    assert milter.macros["E"] == {"i": "S1"}


@pytest.mark.parametrize(
    ("headers", "peer", "connect"),
    [
        (OUTSIDE_SIX, "40.107.0.1", ("[2001:db8::9]", "6", "2001:db8::9", "helo.sender.example")),
        ([], "40.107.0.1", ("[40.107.0.1]", "4", "40.107.0.1", "eur01.example")),
    ],
)
async def test_the_client_is_the_sender_or_else_our_peer(headers, peer, connect):
    milter = Filter()
    await judge(milter, mail_of(letter(headers=headers), session=Session("1", peer, "eur01.example")))
    (values,) = milter.values("C")
    assert (values["hostname"], values["family"], values["address"], milter.values("H")[0]["helo"]) == connect


async def test_a_client_without_an_address():
    milter = Filter(binary=True)
    await judge(milter, mail_of(letter(), session=Session("1", "")))
    assert milter.values("C") == [b"[]\0U"]


async def test_leading_space_is_kept_where_it_is_wanted():
    milter = Filter(steps=Steps.LEADING_SPACE)
    await judge(milter, mail_of(b"A:  b\r\nC:d\r\n\r\n"))
    assert milter.values("L") == [{"name": "A", "value": "  b"}, {"name": "C", "value": "d"}]


@pytest.mark.parametrize(
    ("message", "headers", "body"),
    [
        (b"A: b\r\n\r\nbody", [b"A\0b\0"], b"body"),
        (b"A: b\r\nno field\r\nC: d\r\n\r\nx", [b"A\0b\0"], b"no field\r\nC: d\r\n\r\nx"),
        (b"From a@b Mon 10:00\r\nC: d\r\n\r\nx", [], b"From a@b Mon 10:00\r\nC: d\r\n\r\nx"),
        (b"A : b\r\n\r\n", [b"A\0b\0"], b""),
        (b"A: b\0c\r\n", [b"A\0bc\0"], b""),
        (b"", [], b""),
        (b"\r\nA: b\r\n", [], b"A: b\r\n"),
        (b"A: \xff\r\n\r\n\0\xff", [b"A\0\xff\0"], b"\0\xff"),
    ],
)
async def test_where_the_body_begins(message, headers, body):
    milter = Filter(binary=True)
    await judge(milter, mail_of(message))
    assert milter.values("L") == headers
    assert b"".join(milter.values("B")) == body


async def test_large_bodies_are_cut():
    milter = Filter()
    message = letter(attachments=[("a", bytes(200_000))])
    await judge(milter, mail_of(message))
    chunks = [values["buf"] for values in milter.values("B")]
    assert {len(chunk) for chunk in chunks[:-1]} == {65_535}
    assert "".join(chunks).encode() == message.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("left_out", SKIPPED)
async def test_steps_that_it_does_not_want_are_left_out(left_out):
    milter = Filter(steps=SKIPPED[left_out])
    await judge(milter)
    assert set("OCHMRTLNBEQ") - set(milter.commands()) == {left_out}
    assert left_out not in milter.macros


@pytest.mark.parametrize("silent", [*SILENT, "CHMRTLNB"])
async def test_steps_that_it_does_not_answer_are_not_waited_for(silent):
    milter = Filter(steps=silence(*silent))
    await judge(milter, mail_of(letter(attachments=[("a", bytes(100_000))])))
    assert milter.commands() == "OCHMRT" + "L" * 7 + "NBBBEQ"


async def test_older_versions_know_no_data_step():
    for version, known in ((2, False), (3, False), (4, True)):
        milter = Filter(version=version, steps=Steps.NO_EOH, actions=0x3F)
        await judge(milter)
        assert ("T" in milter.commands()) is known


async def test_it_may_skip_the_rest_of_the_body():
    milter = Filter({"B": encode_msg("s")})
    assert await judge(milter, mail_of(letter(attachments=[("a", bytes(500_000))]))) == []
    assert milter.commands().endswith("NBEQ")


@pytest.mark.parametrize("stage", "CHMRTLNBE")
@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (ACCEPT, []),
        (REJECT, [Finding("MILTER_REJECT", Severity.SPAM)]),
        (encode_msg("d"), [Finding("MILTER_DISCARD", Severity.MALICIOUS)]),
        (
            Packet(b"y", b"550 5.7.1 Go\r\naway\0").encoded(),
            [Finding("MILTER_REJECT", Severity.SPAM, 0, "550 5.7.1 Go away")],
        ),
    ],
)
async def test_its_last_word(stage, answer, finding):
    milter = Filter({stage: answer})
    assert await judge(milter, discard="malicious") == finding
    assert milter.commands().endswith("EQ" if stage == "E" else f"{stage}AQ")


@pytest.mark.parametrize("stage", "CRBE")
@pytest.mark.parametrize(
    ("answer", "reason"),
    [(encode_msg("t"), "later"), (Packet(b"y", b"451 4.7.1 No\0").encoded(), "later: 451 4.7.1 No")],
)
async def test_a_deferral_is_unscanned(stage, answer, reason):
    with pytest.raises(Unscanned, match=f"the milter wants it sent again {reason}$"):
        await judge(Filter({stage: answer}))


CHANGES = b"".join([
    encode_msg("h", name="X-Spam-Status", value="Yes, score=7\r\n\tof 5"), encode_msg("p"),
    encode_msg("i", index=0, name="X-Virus", value=" Eicar"), encode_msg("m", index=1, name="Subject", value=""),
    encode_msg("q", reason="odd"), encode_msg("b", buf="x"), encode_msg("b", buf="y"),
    encode_msg("+", rcpt="a@b.example"),
    encode_msg("-", rcpt="a@b.example"), encode_msg("e", **{"from": "<a@b>", "args": ["x"]}),
])  # fmt: skip


async def test_what_it_would_change():
    change = [
        Finding("MILTER_CHANGE", detail=f"would change {what}") for what in ("the body", "a recipient", "a recipient")
    ]
    expected = [
        Finding("MILTER_HEADER", Severity.SPAM, detail="X-Spam-Status: Yes, score=7 of 5"),
        Finding("MILTER_HEADER", Severity.MALICIOUS, detail="X-Virus: Eicar"),
        Finding("MILTER_HEADER", detail="Subject:"),
        Finding("MILTER_QUARANTINE", Severity.SUSPICIOUS, detail="odd"),
        *change,
        Finding("MILTER_CHANGE", detail="would change the sender"),
    ]
    headers = {"spam_headers": {"x-spam-status": "^Yes"}, "malicious_headers": {"X-Virus": "^(?i:eicar)$"}}
    options = {**headers, "quarantine": "suspicious"}
    assert await judge(Filter({"E": CHANGES + CONTINUE}), **options) == expected
    with pytest.raises(Unscanned) as unscanned:
        await judge(Filter({"E": CHANGES + encode_msg("t")}), **options)
    assert list(unscanned.value.findings) == expected
    notes = await judge(Filter({"E": CHANGES + ACCEPT}))
    assert [finding.name for finding in notes if finding.severity] == ["MILTER_QUARANTINE"]


async def test_signs_of_life_at_any_step():
    answers = {command: encode_msg("p") * 3 + CONTINUE for command in "CHMRTLNBE"}
    assert await judge(Filter(answers)) == []


OFFER = Offer().encoded()


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"O": CONTINUE}, "negotiate"),
        ({"O": Packet(b"O", b"123").encoded()}, "negotiate"),
        ({"O": None}, "hung up"),
        ({"O": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, "a packet of 1213486160 bytes"),
        ({"O": bytes(4)}, "of 0 bytes"),
        ({"O": Offer(1).encoded()}, "wants version 1"),
        ({"O": Offer(7).encoded()}, "wants version 7"),
        ({"O": Offer(6, 0x3FF).encoded()}, "actions 0x3ff"),
        ({"O": Offer(6, 0, Steps(1 << 28)).encoded()}, "steps 0x1000"),
        ({"C": None}, "hung up"),
        ({"C": Packet(b"?").encoded()}, "answers b'\\?' to b'C'"),
        ({"L": OFFER}, "answers b'O'"),
        ({"C": CHANGES}, "answers b'h' to b'C'"),
        ({"E": encode_msg("s")}, "answers b's' to b'E'"),
        ({"E": encode_msg("f")}, "wants the connection closed"),
        ({"C": encode_msg("4")}, "wants the connection closed"),
        ({"E": Packet(b"y", b"250 fine\0").encoded()}, "wants the SMTP reply '250 fine'"),
        ({"E": Packet(b"y", b"550 fine").encoded()}, "where 1 texts are due"),
        ({"E": Packet(b"h", b"a\0b").encoded() + CONTINUE}, "where 2 texts are due"),
        ({"E": Packet(b"i", b"a\0").encoded() + CONTINUE}, "where 2 texts are due"),
        ({"E": encode_msg("+", rcpt="a") * 2_000}, "more changed"),
        ({"E": encode_msg("h", name="a", value="b" * 60_000) * 20}, "more changed"),
        ({"E": encode_msg("p") * 5_000}, "signs of life"),
        ({"L": CONTINUE * 2}, "more than it is asked"),
        ({"E": CONTINUE + REJECT}, "more than it is asked"),
    ],
)
async def test_nonsense_and_failures_are_failures(answers, told):
    with pytest.raises((OSError, ValueError), match=told):
        await judge(Filter(answers))


async def test_what_milters_do_not_take_is_unscanned():
    with pytest.raises(Unscanned, match="longer than milters take"):
        await judge(Filter(), mail_of(letter(headers=[("X", "y" * 70_000)])))
    engine = Milter(Milter.Options(address="127.0.0.1:1"), pretend_tools())
    with pytest.raises(Unscanned, match="more header fields"):
        await engine.judge(mail_of(b"X: y\r\n" * 10_000))


async def test_nobody_there():
    for place in ("127.0.0.1:1", "/nonexistent/milter.sock"):
        with pytest.raises(OSError):
            await Milter(Milter.Options(address=place), pretend_tools()).judge(mail_of(letter()))


async def test_a_server_that_drips_is_late_and_is_told_good_bye():
    milter = Filter({"L": b"\0"})
    async with asking(milter) as engine:
        panel = Panel([Seat("milter", engine, 0.2)], 5, PretendClock())
        (verdict,) = (await panel.judge(mail_of(letter()))).verdicts
        await asyncio.wait_for(milter.gone.wait(), 5)
    assert verdict.outcome is Outcome.LATE
    assert milter.commands().endswith("LAQ")


@pytest.mark.parametrize(
    "wrong",
    [{"address": "x"}, {"hostname": "a b"}, {"reject": "bad"}, {"spam_headers": {"X": "("}}, {"at_once": 0}],
)
def test_wrong_options(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Milter.Options(**wrong)


@pytest.mark.parametrize("steps", [Steps(0), silence(*SILENT)])
async def test_it_keeps_the_contract(steps):
    async with scripted(lambda reader, writer: Filter(steps=steps, binary=True).serve(reader, writer)) as address:
        await assert_contract(lambda: Milter(Milter.Options(address=address), pretend_tools()))


@given(st.binary(max_size=60))
def test_any_bytes_are_packets_or_an_error(content):
    async def read():
        with fed(content) as connection:
            try:
                packet = await read_packet(connection, 50)
            except (OSError, ValueError):
                return
            assert content.startswith(packet.encoded())

    asyncio.run(read())


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_words_that_are_written_are_read(texts):
    assert read_words(words(*texts), len(texts)) == texts


def signed(message):
    """`message` with a DKIM signature of sender.example, and the key's record."""
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = "v=DKIM1; k=rsa; p=" + "".join(public.decode().splitlines()[1:-1])
    return dkim.sign(message, b"s", b"sender.example", key.private_bytes(*form)) + message, record


async def test_a_real_opendkim_that_verifies(tmp_path):
    message, record = signed(letter(headers=OUTSIDE))
    with real_opendkim(tmp_path, f"s._domainkey.sender.example {record}\n") as opendkim:
        options = Milter.Options(address=opendkim.address, spam_headers={"Authentication-Results": "dkim=fail"})
        engine = Milter(options, pretend_tools())
        (good,) = await engine.judge(mail_of(message))
        assert good.severity is Severity.NOTE
        assert good.detail.startswith("Authentication-Results: mx.test; dkim=pass")
        (bad,) = await engine.judge(mail_of(message.replace(b"Good", b"Bad")))
        assert bad.severity is Severity.SPAM
        panel = Panel([Seat("milter", engine, 0.2)], 5, PretendClock())
        with frozen(opendkim.process):
            (verdict,) = (await panel.judge(mail_of(message))).verdicts
        assert verdict.outcome is Outcome.LATE


@pytest.fixture(params=["Quarantine", "Reject", "Blackhole", "Defer"])
def clamav_milter(request, clamd, tmp_path):
    with real_clamav_milter(tmp_path, clamd, infected=request.param, trusted="2001:db8::/32") as running:
        yield request.param, Milter(Milter.Options(address=running.address, quarantine="malicious"), pretend_tools())


async def test_a_real_clamav_milter(clamav_milter):
    infected, engine = clamav_milter
    clean = await engine.judge(mail_of(letter(headers=OUTSIDE, attachments=[("a", bytes(300_000))])))
    assert "X-Virus-Status: Clean" in [finding.detail for finding in clean]
    virus = letter(headers=OUTSIDE, attachments=[("a.com", EICAR)])
    if infected == "Defer":
        with pytest.raises(Unscanned):
            await engine.judge(mail_of(virus))
        return
    expected = {
        "Quarantine": ("MILTER_QUARANTINE", Severity.MALICIOUS), "Reject": ("MILTER_REJECT", Severity.SPAM),
        "Blackhole": ("MILTER_DISCARD", Severity.SPAM),
    }  # fmt: skip
    found = await engine.judge(mail_of(virus))
    assert [finding[:2] for finding in found if finding.severity] == [expected[infected]]
    trusted = letter(headers=OUTSIDE_SIX, attachments=[("a.com", EICAR)])
    assert await engine.judge(mail_of(trusted)) == []  # it was told the client's address
