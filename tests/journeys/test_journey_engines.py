"""The relay with a real rspamd and a real clamd: alive, dead, hanging, and confronted with too much."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from doubles.answering_rspamd import AnsweringRspamd
from doubles.background import Background, running
from doubles.client import Reply, deliver
from doubles.need import need
from doubles.pretend_clamd import PretendClamd
from doubles.processes import frozen
from doubles.real_clamd import EICAR, SIGNED_TEXT, STREAM_BYTES, RealClamd, real_clamd
from doubles.real_rspamd import RealRspamd, real_rspamd
from doubles.relay import Relay, letter, wait_until

ORIGIN = "X-Forefront-Antispam-Report: CIP:192.0.2.7;CTRY:DE;H:mail.sender.example;PTR:mail.sender.example;SCL:1;\r\n"


@dataclass
class House:
    relay: Relay
    hop: Background
    rspamd: RealRspamd
    clamd: RealClamd

    def send(self, message: bytes) -> Reply:
        self.hop.hop.messages.clear()
        return deliver(self.relay.smtp_port, message, ["bob@acme.example"])

    def newest(self, subject: str) -> dict[str, object]:
        """The record of the message with this subject."""
        return wait_until(lambda: next((one for one in self.relay.scans(20) if one["subject"] == subject), None))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    need("rspamd")
    need("clamd")
    folders = [tmp_path_factory.mktemp(name) for name in ("rspamd", "clamd", "relay")]
    with real_rspamd(folders[0]) as rspamd, real_clamd(folders[1]) as clamd, running() as hop:
        config = f"""
            [engines.rspamd]
            url = "{rspamd.url}"
            deadline = 2.0
            [engines.clamav]
            address = "{clamd.address}"
            deadline = 2.0
        """
        with Relay(folders[2], hop=hop.address, config=config) as relay:
            yield House(relay, hop, rspamd, clamd)


def test_clean(house: House) -> None:
    assert house.send(letter("clean", extra=ORIGIN)).code == 250
    assert len(house.hop.bodies) == 1
    record = house.newest("clean")
    assert record["outcome"] == "delivered"
    assert {verdict["engine"]: verdict["outcome"] for verdict in record["verdicts"]} == {
        "rspamd": "answered",
        "clamav": "answered",
    }


def test_rspamd_hears_of_the_original_sender_and_not_of_microsoft(house: House) -> None:
    house.send(letter("facts", extra=ORIGIN))
    facts = str(house.newest("facts")["verdicts"])
    for fact in ("ip=192.0.2.7", "helo=mail.sender.example", "from=ann@sender.example", "rcpts=1"):
        assert fact in facts


def test_spam_by_rspamd(house: House) -> None:
    assert house.send(letter("pills")).code == 250
    [body] = house.hop.bodies
    assert b"\r\nX-PERCEPTION-POINT-SPAM: FAIL\r\n" in body
    assert house.newest("pills")["outcome"] == "marked"


@pytest.mark.parametrize("text", [EICAR, SIGNED_TEXT])
def test_malicious_by_clamav(text: bytes, house: House) -> None:
    subject = f"malicious-{text[:4].hex()}"
    assert house.send(letter(subject, text + b"\r\n")).code == 250
    assert house.hop.bodies == []
    assert house.newest(subject)["outcome"] == "quarantined"


def test_too_big_for_clamd_is_unscanned_and_not_clean(house: House) -> None:
    answer = house.send(letter("big", (b"x" * 74 + b"\r\n") * (STREAM_BYTES // 76 + 1000)))
    assert (answer.code, answer.text[:5]) == (451, "4.7.1")
    assert house.hop.bodies == []
    record = house.newest("big")
    assert record["category"] == "unscanned"
    assert ("clamav", "unscanned") in {(verdict["engine"], verdict["outcome"]) for verdict in record["verdicts"]}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["rspamd", "clamav"])
def test_hanging(engine: str, house: House) -> None:
    """It takes connections and says nothing: the verdict is late, the mail is brought again, and then it goes."""
    with frozen((house.rspamd if engine == "rspamd" else house.clamd).process):
        answer = house.send(letter(f"hanging-{engine}"))
        assert (answer.code, answer.text[:5]) == (451, "4.7.1")
        record = house.newest(f"hanging-{engine}")
        assert (record["outcome"], record["category"]) == ("deferred", "unscanned")
        assert (engine, "late") in {(verdict["engine"], verdict["outcome"]) for verdict in record["verdicts"]}
    assert house.relay.metric("sluice_verdicts_total", engine=engine, kind="late") >= 1
    wait_until(lambda: house.send(letter("thawed")).code == 250, what=f"{engine} works again")


def test_malicious_is_malicious_while_the_other_engine_hangs(house: House) -> None:
    with frozen(house.rspamd.process):
        assert house.send(letter("half", EICAR + b"\r\n")).code == 250
        assert house.newest("half")["outcome"] == "quarantined"
    wait_until(lambda: house.send(letter("thawed")).code == 250, what="rspamd works again")


def test_dead_engines(tmp_path: Path) -> None:
    config = """
        [engines.rspamd]
        url = "http://127.0.0.1:9"
        [engines.clamav]
        address = "127.0.0.1:9"
        [engines.testpatterns]
    """
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        answer = deliver(relay.smtp_port, letter("dead"), ["bob@acme.example"])
        assert (answer.code, answer.text[:5]) == (451, "4.7.1")
        assert deliver(relay.smtp_port, letter("bad", EICAR + b"\r\n"), ["bob@acme.example"]).code == 250
        assert hop.bodies == []
        assert [entry["subject"] for entry in relay.quarantine()] == ["bad"]
        for engine in ("rspamd", "clamav"):
            assert relay.metric("sluice_verdicts_total", engine=engine, kind="failed") == 2


@pytest.fixture
def answering() -> Iterator[AnsweringRspamd]:
    rspamd = AnsweringRspamd()
    yield rspamd
    rspamd.close()


NONSENSE = ["200", "404", "500", "null", "[]", "{}x", "no json", '{"action": 5}', '{"action": "unheard of"}']


def test_nonsense(answering: AnsweringRspamd, tmp_path: Path) -> None:
    """Whatever it answers, what is not an answer is no clean verdict."""
    with running() as hop, Relay(tmp_path, hop=hop.address, config=f'engines.rspamd.url = "{answering.url}"') as relay:
        for answer in NONSENSE:
            message = letter("nonsense", extra=f"X-Answer: {answer}\r\n")
            assert deliver(relay.smtp_port, message, ["bob@acme.example"]).code == 451, answer
        assert hop.bodies == []


def test_an_open_circuit_a_shadow_and_what_is_told_of_them(answering: AnsweringRspamd, tmp_path: Path) -> None:
    config = f"""
        [engines.rspamd]
        url = "{answering.url}"
        on_failure = "ignore"
        breaker_failures = 2
        [engines.clamav]
        address = "127.0.0.1:9"
        shadow = true
        on_failure = "defer"
        [engines.testpatterns]
        [judging]
        shadow_grace = 5.0
    """
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config) as relay:
        assert relay.metric("sluice_engine_breaker", engine="rspamd") == 0
        for number in range(3):
            message = letter(f"broken{number}", extra="X-Answer: 500\r\n")
            assert deliver(relay.smtp_port, message, ["bob@acme.example"]).code == 250
        assert len(hop.bodies) == 3
        assert len(answering.requests) == 2
        assert relay.metric("sluice_engine_breaker", engine="rspamd") == 1
        assert relay.metric("sluice_verdicts_total", engine="rspamd", kind="failed") == 3
        assert relay.metric("sluice_shadow_verdicts_total", engine="clamav", kind="failed") == 3
        newest = wait_until(lambda: next((one for one in relay.scans(5) if one["subject"] == "broken2"), None))
        shown = relay.command("scans", "show", newest["id"]).stdout
        assert "no: ignored  circuit open" in shown
        assert "no: shadow" in shown


@pytest.fixture(scope="module")
def pretending(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Relay, Background, PretendClamd]]:
    clamd = PretendClamd()
    config = f'engines.clamav = {{address = "{clamd.address}", deadline = 2.0}}'
    try:
        with running() as hop, Relay(tmp_path_factory.mktemp("clamd"), hop=hop.address, config=config) as relay:
            yield relay, hop, clamd
    finally:
        clamd.close()


CLAMD_NONSENSE = [
    b"\0", b"OK\0", b"stream: OK", b"stream:  FOUND\0", b"stream: OK\nstream: OK\0", b"stream: OK FOUND ERROR\0",
    b"HTTP/1.1 200 OK\r\n\r\n\0", b"UNKNOWN COMMAND\0", b"\xff\xfe\0", b"x" * 10_000 + b"stream: OK\0",
]  # fmt: skip


@pytest.mark.parametrize("reply", [*CLAMD_NONSENSE, b""])
def test_clamd_answers_nonsense(reply: bytes, pretending: tuple[Relay, Background, PretendClamd]) -> None:
    """What is not an answer, nothing among it, is no clean verdict."""
    relay, hop, clamd = pretending
    hop.hop.messages.clear()
    clamd.reply, clamd.early = reply, False
    answer = deliver(relay.smtp_port, letter("nonsense"), ["bob@acme.example"])
    assert (answer.code, answer.text[:5]) == (451, "4.7.1")
    assert hop.bodies == []


@pytest.mark.parametrize("lingers", [0.0, 5.0])
@pytest.mark.parametrize("reply", [b"stream: OK\0", b""])
def test_clamd_answers_before_it_has_read(
    reply: bytes, lingers: float, pretending: tuple[Relay, Background, PretendClamd]
) -> None:
    """It cannot know what it has not read: OK before the end of the message is no clean verdict."""
    relay, hop, clamd = pretending
    hop.hop.messages.clear()
    clamd.reply, clamd.early, clamd.lingers = reply, True, lingers
    large = letter("early", (b"x" * 74 + b"\r\n") * 300_000)
    answer = deliver(relay.smtp_port, large, ["bob@acme.example"])
    assert hop.bodies == []
    assert (answer.code, answer.text[:5]) == (451, "4.7.1")
