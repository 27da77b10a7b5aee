"""sluice scans and sluice quarantine, on stores that hold what hostile senders wrote."""

import asyncio
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from relay.errors import NextHopFailed, StoreFailed
from relay.quarantine.entry import Entry
from relay.quarantine.folder import Folder
from relay.quarantine.ids import new_id
from relay.records.model import Record
from relay.records.store import Store
from relay.records.writer import Writer
from relay.replies import Reply

AT = 1_790_000_000.25
HOSTILE = "\x1b]0;owned\x07[red]re[/red]\r\n\u202eexe.cod " + "long " * 40
VERDICTS = [
    {
        "engine": "testpatterns",
        "outcome": "answered",
        "reason": "",
        "seconds": 0.001,
        "findings": [
            {"name": "EICAR", "severity": "malicious", "weight": 0.0, "detail": "in part 1"},
            {"name": "NOTE", "severity": "note", "weight": 0.0, "detail": ""},
        ],
    }
]
SHADOW = VERDICTS[0] | {"engine": "new", "handling": "shadow"}
MESSAGE = b"Subject: x\r\n\r\n\x00\xff\r\n"


def record(name, **more):
    facts = {
        "at": AT, "node": "mx1", "outcome": "delivered", "tenant": "acme", "sender": "a@b.example",
        "recipients": ["alice@acme.example", "bob@acme.example"], "subject": HOSTILE, "size": 5, "category": "clean",
        "action": "deliver", "reply": "250 2.0.0 ok", "verdicts": VERDICTS, "seconds": {"judge": 0.1},
    }  # fmt: skip
    return Record(id=name, **facts | more)


@pytest.fixture
def scans(tmp_path):
    """Five records, an older one first."""
    (tmp_path / "state").mkdir()
    store = Store(f"sqlite:///{tmp_path}/state/sluice.db")
    store.migrate()
    writer = Writer(store, 100)
    writer.put(record("one"))
    writer.put(record("two", at=AT + 1, tenant="initech", outcome="quarantined", quarantine_id="q"))
    writer.put(record("three", at=AT + 2))
    writer.put(record("four", at=AT - 1, category="malicious", rule="malicious: severity of testpatterns/EICAR",
                      action="quarantine", outcome="refused"))  # fmt: skip
    writer.put(record("five", at=AT - 2, category="", rule="", verdicts=[], outcome="refused"))
    writer.close(5.0)
    store.close()


@pytest.fixture
def kept(tmp_path):
    """One entry in quarantine; its identifier."""
    entry = Entry(
        id=new_id(AT), at=AT, tenant="acme", session={"peer": "192.0.2.1"}, sender="a@b.example",
        recipients=[{"address": "alice@acme.example", "notify": None, "orcpt": None}], size=len(MESSAGE),
        next_hop="127.0.0.1:25", verdicts=[*VERDICTS, SHADOW], decision={"category": "malicious", "rule": "malicious"},
        subject=HOSTILE,
    )  # fmt: skip
    folder = Folder(tmp_path / "state/quarantine")
    asyncio.run(folder.keep(entry, lambda: [MESSAGE]))
    folder.close()
    return entry.id


@pytest.fixture
def told(sluice, config):
    """Call with the configuration: what was printed, as JSON."""

    def told(*words):
        ran = sluice(*words, "--json", "--config", config)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.isascii()
        return json.loads(ran.out)

    return told


def test_scans_list_json(told, scans):
    listed = told("scans", "list")
    assert [scan["id"] for scan in listed] == ["three", "two", "one", "four", "five"]
    assert listed[1].items() >= {
        "at": "2026-09-21T14:13:21.250Z", "tenant": "initech", "sender": "a@b.example",
        "recipients": ["alice@acme.example", "bob@acme.example"], "subject": HOSTILE, "size": 5,
        "outcome": "quarantined", "category": "clean", "action": "deliver", "reply": "250 2.0.0 ok",
        "quarantine_id": "q", "verdicts": VERDICTS,
    }.items()  # fmt: skip


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--limit", "2"], ["three", "two"]),
        (["--tenant", "initech"], ["two"]),
        (["--tenant", "nobody"], []),
        (["--outcome", "delivered"], ["three", "one"]),
        (["--outcome", "delivered", "--tenant", "acme", "-n", "1"], ["three"]),
    ],
)
def test_scans_are_filtered(told, scans, words, ids):
    assert [scan["id"] for scan in told("scans", "list", *words)] == ids


def test_a_table_has_one_clean_line_for_each_message(sluice, config, scans):
    ran = sluice("scans", "list", "--config", config)
    lines = ran.out.splitlines()
    assert len(lines) == 6
    assert all(line.isprintable() and len(line) < 300 for line in lines)
    assert lines[1].startswith("three  2026-09-21T14:13:22.250Z  acme")
    assert "[red]re[/red]" in lines[1]
    assert "alice@acme.example, bob@acme.example" in lines[1]


def test_scans_show(told, sluice, config, scans):
    assert told("scans", "show", "two")["seconds"] == {"judge": 0.1}
    lines = sluice("scans", "show", "two", "--config", config).out.splitlines()
    assert all(line.isprintable() for line in lines)
    assert "outcome        quarantined" in lines


def test_scans_show_tells_why(told, sluice, config, scans):
    assert told("scans", "show", "four")["explanation"]["because"][0]["finding"] == "EICAR"
    lines = sluice("scans", "show", "four", "--config", config).out.splitlines()
    assert "decision: quarantine, because malicious: severity of testpatterns/EICAR" in lines
    assert "settings: policy.malicious of tenant acme" in lines
    assert "testpatterns  answered  0.001    EICAR    malicious  0       led to it  in part 1" in lines
    assert "judge  0.1" in lines


def test_a_scan_that_was_not_judged_has_no_decision(told, sluice, config, scans):
    assert told("scans", "show", "five")["explanation"]["because"] == []
    assert "decision:" not in sluice("scans", "show", "five", "--config", config).out


@pytest.mark.parametrize("group", ["scans", "quarantine"])
def test_what_is_not_there(sluice, config, group):
    ran = sluice(group, "show", "../../etc/passwd\x1b[31m", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.startswith("sluice: no such ")
    assert len(ran.err.splitlines()) == 1
    assert ran.err.strip().isprintable()


def test_empty_lists(told):
    assert told("scans", "list") == []
    assert told("quarantine", "list") == []


def test_a_database_that_is_broken_is_told_shortly(sluice, config, tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state/sluice.db").write_text("this is no database" * 100)
    ran = sluice("scans", "list", "--config", config)
    assert (ran.status, ran.out) == (1, "")
    assert len(ran.err.splitlines()) == 1


def test_quarantine_list(told, sluice, config, kept):
    (entry,) = told("quarantine", "list")
    assert entry.items() >= {
        "id": kept, "at": "2026-09-21T14:13:20.250Z", "tenant": "acme", "sender": "a@b.example",
        "recipients": ["alice@acme.example"], "size": len(MESSAGE), "reason": "malicious: testpatterns EICAR",
        "released": None,
    }.items()  # fmt: skip
    assert entry["findings"][0] == {"engine": "testpatterns", **VERDICTS[0]["findings"][0]}
    lines = sluice("quarantine", "list", "--config", config).out.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(kept)
    assert lines[1].isprintable()


def test_quarantine_list_is_limited(told, kept):
    assert len(told("quarantine", "list", "--limit", "1")) == 1


def test_quarantine_show(told, sluice, config, kept):
    shown = told("quarantine", "show", kept)
    assert shown["session"] == {"peer": "192.0.2.1"}
    assert all(line.isprintable() for line in sluice("quarantine", "show", kept, "--config", config).out.splitlines())


def test_the_raw_message_is_written_byte_for_byte(config, kept):
    command = [sys.executable, "-m", "relay.cli", "quarantine", "show", kept, "--raw", "--config", config]
    assert subprocess.run(command, capture_output=True, check=True).stdout == MESSAGE


def test_the_raw_message_is_not_for_a_terminal(sluice, config, kept, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    ran = sluice("quarantine", "show", kept, "--raw", "--config", config)
    assert (ran.status, ran.out) == (2, "")


def test_delete(told, sluice, config, kept):
    ran = sluice("quarantine", "delete", kept, "--config", config)
    assert (ran.status, ran.out) == (0, f"deleted {kept}\n")
    assert told("quarantine", "list") == []
    assert sluice("quarantine", "delete", kept, "--config", config).status == 1


@pytest.fixture
def next_hop(monkeypatch):
    """Pretend to release: `answer` is the next hop's reply, or what is raised."""
    pretend = SimpleNamespace(answer=None, asked=[])

    async def release(settings, folder, entry_id, known):
        pretend.asked.append((settings.node.name, entry_id))
        folder.show(entry_id)
        if isinstance(pretend.answer, Exception):
            raise pretend.answer
        return pretend.answer

    monkeypatch.setitem(sys.modules, "relay.assembly", SimpleNamespace(release=release))
    return pretend


@pytest.mark.parametrize(
    ("replies", "status"),
    [
        ([Reply(250, ("2.0.0 queued as 1", "bye\x1b[31m"))], 0),
        ([Reply(451, ("4.3.0 later",))], 1),
        ([Reply(550, ("5.1.1 who?",))], 1),
        ([Reply(250, ("2.0.0 queued",)), Reply(550, ("5.1.1 who?",))], 1),
    ],
)
def test_release_tells_the_replies(sluice, config, kept, told, next_hop, replies, status):
    next_hop.answer = {f"r{number}@acme.example": reply for number, reply in enumerate(replies)}
    ran = sluice("quarantine", "release", kept, "--config", config)
    assert (ran.status, ran.err) == (status, "")
    lines = [f"{address}: {reply}" for address, reply in next_hop.answer.items()]
    assert ran.out.splitlines() == [line.replace("\x1b", "\N{REPLACEMENT CHARACTER}") for line in lines]
    assert next_hop.asked == [("mx1.relay.example", kept)]
    assert told("quarantine", "show", kept)["released"] == "; ".join(lines)


def test_a_release_that_cannot_be_noted_is_a_release(sluice, config, kept, next_hop, monkeypatch):
    def full(self, entry_id, said):
        raise StoreFailed(Reply(451, ("4.3.0 no",)), "quarantine", "the disk is full")

    monkeypatch.setattr(Folder, "mark_released", full)
    next_hop.answer = {"alice@acme.example": Reply(250, ("2.0.0 queued",))}
    ran = sluice("quarantine", "release", kept, "--config", config)
    assert (ran.status, ran.out) == (0, "alice@acme.example: 250 2.0.0 queued\n")
    assert "the disk is full" in ran.err


def test_release_that_fails_is_told_and_not_noted(sluice, config, kept, told, next_hop):
    next_hop.answer = NextHopFailed(Reply(451, ("4.4.1 no",)), "connect", "127.0.0.1:25 refused")
    ran = sluice("quarantine", "release", kept, "--config", config)
    assert (ran.status, ran.out, ran.err) == (1, "", "sluice: connect: 127.0.0.1:25 refused\n")
    assert told("quarantine", "show", kept)["released"] is None


def test_release_of_what_is_not_there(sluice, config, next_hop):
    assert sluice("quarantine", "release", "nothing", "--config", config).status == 1
