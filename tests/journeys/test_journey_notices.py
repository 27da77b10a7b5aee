"""What tenants are told while mail flows: once, by the ways that were chosen, and never at the cost of mail."""

import email
import email.policy
import hmac
import json
import re
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from doubles.background import Background, running
from doubles.client import deliver
from doubles.nexthop import NextHop, Stall
from doubles.relay import LOOP, TENANTS, Relay, letter, wait_until
from doubles.webhook import Webhook

SECRET = "sixteen letters."
CONTACTS = 'contacts = ["ann@acme.example", "eve@elsewhere.example"]'
ACME = TENANTS.replace('name = "acme"\n', f'name = "acme"\n{CONTACTS}\n', 1)
BOB = ["bob@acme.example"]
UNPROVEN = letter(loop="somebody else's value")


def chosen(*lines: str) -> str:
    """The configuration, with quick looks."""
    return "\n".join(["[notices]", "look_seconds = 0.1", 'sender = "Sluice <sluice@relay.example>"', *lines])


def hooked(hook: Webhook, folder: Path) -> str:
    (folder / "secret").write_text(SECRET)
    return f'webhook = "{hook.url}"\nsecret = "{folder / "secret"}"'


def mails(hop: Background) -> list[email.message.EmailMessage]:
    """The notices that a server has taken, not the mail that passed."""
    letters = [email.message_from_bytes(body, policy=email.policy.default) for body in hop.bodies]
    return [one for one in letters if one["Auto-Submitted"] == "auto-generated"]


def subjects(hop: Background) -> list[str]:
    return [one["Subject"] for one in mails(hop)]


def told_of(one: email.message.EmailMessage) -> int:
    """How many messages a notice is about."""
    return int(re.search(r"^(\d+) messages? for acme", one.get_content())[1])


def row(relay: Relay, kind: str) -> tuple[float, int]:
    """When a notice was sent last, and how many messages were held since."""
    with closing(sqlite3.connect(relay.state / "sluice.db", timeout=5)) as database:
        return database.execute("SELECT sent, held FROM notices WHERE kind = ?", (kind,)).fetchone() or (0.0, 0)


def a_day_passes(relay: Relay) -> None:
    change(relay, "UPDATE notices SET sent = sent - 86400 WHERE sent > 0")


def change(relay: Relay, statement: str, *values: float) -> None:
    with closing(sqlite3.connect(relay.state / "sluice.db", timeout=5)) as database, database:
        database.execute(statement, values)


def test_fifty_messages_without_proof_are_one_notice_and_the_next_tells_how_many_there_were(tmp_path: Path) -> None:
    with running() as hop, Relay(tmp_path, hop=hop.address, config=chosen(), tenants=ACME) as relay:
        assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
        wait_until(lambda: mails(hop))
        for _ in range(49):
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
        wait_until(lambda: row(relay, "mail unproven")[1] == 49)
        assert deliver(relay.smtp_port, letter(), BOB).code == 250
        wait_until(lambda: len(mails(hop)) > 1)  # a look that came later
        assert subjects(hop) == ["Mail of acme comes without proof", "Mail of acme flows through Sluice"]
        a_day_passes(relay)
        wait_until(lambda: len(mails(hop)) > 2)
        first, _, second = mails(hop)
        assert (told_of(first), told_of(second)) == (1, 49)
        assert "since the last notice (" in second.get_content()
        assert first["X-PERCEPTION-POINT-CUSTOM"] == LOOP
        assert relay.metric("sluice_notices_total", kind="unproven", result="sent") == 2
        assert [message.rcpts for message in hop.hop.messages if message.mail.startswith("<>")] == [
            ["<ann@acme.example>"]
        ] * 3
        assert "elsewhere.example: not in a domain" in relay.events("notice sent")[0]["detail"]
        assert LOOP not in "\n".join(relay.log)


def test_several_workers_count_together(tmp_path: Path) -> None:
    config = chosen() + "\n[smtp]\nworkers = 2"
    with running() as hop, Relay(tmp_path, hop=hop.address, config=config, tenants=ACME) as relay:
        for _ in range(40):
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
        (first,) = wait_until(lambda: mails(hop))
        wait_until(lambda: told_of(first) + row(relay, "mail unproven")[1] == 40)
        wait_until(lambda: relay.metric("sluice_notices_total", kind="unproven", result="sent") == 1)


def test_loops_and_next_hops_that_fail_are_told_by_every_way(tmp_path: Path) -> None:
    dead = TENANTS.replace("acme", "dead").replace("{hop}", "127.0.0.1:1").replace(LOOP, LOOP[::-1])
    dead = dead.replace('name = "dead"\n', f'name = "dead"\n{CONTACTS}\n', 1)
    with running() as hop, running() as server, Webhook() as hook:
        config = chosen(f'server = "{server.address}"', 'tls = "off"', hooked(hook, tmp_path))
        with Relay(tmp_path, hop=hop.address, config=config, tenants=ACME + dead) as relay:
            for _ in range(2):
                assert deliver(relay.smtp_port, letter(), ["bob@dead.example"]).code == 451
            assert deliver(relay.smtp_port, letter(), BOB).code == 250
            assert deliver(relay.smtp_port, hop.bodies[0], BOB).code == 554
            wait_until(lambda: len(hook.notices) == 3 and len(mails(server)) == 6)
    told = {one["kind"]: one for one in hook.notices}
    assert {kind: one["tenant"] for kind, one in told.items()} == {
        "next_hop": "dead",
        "loop": "acme",
        "working": "acme",
    }
    assert (told["next_hop"]["subject"], told["next_hop"]["count"]) == ("127.0.0.1:1", 2)
    assert told["next_hop"]["facts"] == {"hop": "127.0.0.1:1", "failure": "No connection can be made to it."}
    for request in hook.requests:
        signed = request.headers["Sluice-Timestamp"].encode() + b"." + request.body
        wanted = hmac.new(SECRET.encode(), signed, "sha256").hexdigest()
        assert request.headers["Sluice-Signature"] == f"v1={wanted}"
        assert LOOP.encode() not in request.body
    assert mails(hop) == []
    assert all(LOOP.encode() not in body for body in server.bodies)
    assert {rcpt for message in server.hop.messages for rcpt in message.rcpts} == {
        "<ann@acme.example>",
        "<eve@elsewhere.example>",
    }


def test_who_chose_to_hear_nothing_hears_nothing(tmp_path: Path) -> None:
    silent = TENANTS.replace("acme", "silent").replace(
        'name = "silent"\n', f'name = "silent"\nnotices = false\n{CONTACTS}\n', 1
    )
    with running() as hop, Webhook() as hook:
        config = chosen('kinds = ["working"]', hooked(hook, tmp_path))
        with Relay(tmp_path, hop=hop.address, config=config, tenants=ACME + silent) as relay:
            assert deliver(relay.smtp_port, letter(), ["bob@silent.example"]).code == 250
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
            assert deliver(relay.smtp_port, letter(), BOB).code == 250
            wait_until(lambda: mails(hop) and hook.notices)
            assert subjects(hop) == ["Mail of acme flows through Sluice"]
            assert [one["kind"] for one in hook.notices] == ["working"]
            assert row(relay, "mail unproven") == (0.0, 0)


def test_nothing_is_told_by_default_and_a_reload_changes_that(tmp_path: Path) -> None:
    with running() as hop, Relay(tmp_path, hop=hop.address, config="notices.look_seconds = 0.1", tenants=ACME) as relay:
        assert deliver(relay.smtp_port, letter(), BOB).code == 250
        assert "nothing was told yet" in relay.cli("tenant", "notices", "acme")
        assert relay.command("tenant", "notices", "acme", "--test").returncode == 1
        for config, what in ((chosen('kinds = ["loop"]'), "on"), (chosen(), "other")):
            before = relay.metric("sluice_reloads_total", result="ok")
            relay.configure(config)
            relay.signal(signal.SIGHUP)
            wait_until(lambda: relay.metric("sluice_reloads_total", result="ok") > before, what=what)  # noqa: B023
        assert mails(hop) == []
        assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
        wait_until(lambda: mails(hop))
        assert subjects(hop) == ["Mail of acme comes without proof"]


def test_mail_never_waits_for_a_webhook_or_a_server_that_hangs(tmp_path: Path) -> None:
    stall = Stall()
    with running() as hop, running(NextHop(replies={"RCPT": stall})) as server, Webhook() as hook:
        hook.go.clear()
        config = chosen(f'server = "{server.address}"', 'tls = "off"', hooked(hook, tmp_path))
        with Relay(tmp_path, hop=hop.address, config=config, tenants=ACME) as relay:
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
            wait_until(lambda: stall.reached.is_set() and hook.requests)
            for _ in range(50):
                began = time.monotonic()
                assert deliver(relay.smtp_port, letter(), BOB).code == 250
                assert time.monotonic() - began < 2
            assert relay.ready()
            relay.signal(signal.SIGTERM)
            assert relay.wait(15) == 0
            assert row(relay, "mail unproven") == (0.0, 1)
            assert row(relay, "webhook unproven") == (0.0, 1)
            hook.go.set()
            server.go(stall)
            server.hop.replies.clear()
            relay.start()
            wait_until(lambda: len(mails(server)) == 4 and len(hook.notices) == 3)
        assert len({one["id"] for one in hook.notices if one["kind"] == "unproven"}) == 1


@pytest.mark.parametrize("step", ["RCPT", "BODY"])
def test_a_node_that_is_killed_while_it_tells_does_not_tell_twice(tmp_path: Path, step: str) -> None:
    """Before the server has it, it is not told at all until it is due again."""
    stall = Stall()
    with running(NextHop(replies={step: stall})) as server, running() as hop:
        config = chosen(f'server = "{server.address}"', 'tls = "off"')
        one = ACME.replace(', "eve@elsewhere.example"', "")
        with Relay(tmp_path, hop=hop.address, config=config, tenants=one) as relay:
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
            wait_until(stall.reached.is_set)
            relay.kill9()
            assert row(relay, "mail unproven")[0] > 0
            server.hop.replies.clear()
            relay.start()
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
            assert deliver(relay.smtp_port, letter(), BOB).code == 250
            wait_until(lambda: "Mail of acme flows through Sluice" in subjects(server))
            wait_until(lambda: row(relay, "mail unproven")[1] == 1)
            assert subjects(server).count("Mail of acme comes without proof") == (step == "BODY")
            a_day_passes(relay)
            wait_until(lambda: subjects(server).count("Mail of acme comes without proof") == 1 + (step == "BODY"))
            assert "flows" not in "".join(subjects(server)[-1:])


def test_what_could_not_be_sent_is_sent_when_the_server_is_back(tmp_path: Path) -> None:
    server = NextHop()
    with running(server) as once, running() as hop:
        config = chosen(f'server = "{once.address}"', 'tls = "off"')
        with Relay(tmp_path, hop=hop.address, config=config, tenants=ACME) as relay:
            server.replies["MAIL"] = "451 4.3.0 not now"
            assert deliver(relay.smtp_port, UNPROVEN, BOB).code == 550
            wait_until(lambda: relay.metric("sluice_notices_total", kind="unproven", result="postponed") >= 2)
            assert row(relay, "mail unproven")[1] <= 1
            server.replies.clear()
            wait_until(lambda: relay.metric("sluice_notices_total", kind="unproven", result="sent") == 1)
            assert subjects(once) == ["Mail of acme comes without proof"] * 2


def test_domains_that_come_and_go_are_told(tmp_path: Path) -> None:
    with running() as hop, Relay(tmp_path, hop=hop.address, config=chosen(), tenants=ACME) as relay:
        relay.cli("domain", "add", "acme", "new.example", "--next-hop", hop.address)
        value = json.loads(relay.cli("domain", "list", "--json"))[1]["records"][0]["value"]
        found = time.time()
        change(relay, "UPDATE verifications SET state = 'verified', changed = ?", found)
        wait_until(lambda: mails(hop))
        change(relay, "UPDATE verifications SET state = 'lapsing', changed = ?", found + 1)
        wait_until(lambda: len(mails(hop)) > 1)
    assert subjects(hop) == ["new.example is verified", "The TXT record of new.example has gone"]
    assert all(f'_sluice.new.example  TXT  "{value}"' in one.get_content() for one in mails(hop))
    suspended = time.strftime("%Y-%m-%d", time.gmtime(found + 1 + 7 * 86_400))
    assert f"protection is suspended on {suspended}" in mails(hop)[1].get_content()


def test_an_operator_tries_the_ways_and_sees_what_was_told(tmp_path: Path) -> None:
    with running() as hop, Webhook() as hook:
        config = chosen(hooked(hook, tmp_path))
        with Relay(tmp_path, hop=hop.address, config=config, tenants=ACME) as relay:
            told = relay.cli("tenant", "notices", "acme", "--test")
            assert re.search(
                r"^mail: sent: ann@acme.example: 250 .*; eve@elsewhere.example: not in", told, re.MULTILINE
            )
            assert "webhook: sent: HTTP status 204" in told.splitlines()
            assert subjects(hop) == ["A test notice for acme"]
            assert [one["kind"] for one in hook.notices] == ["test"]
            hook.status = 500
            assert "HTTP status 500" in relay.cli("tenant", "notices", "acme", "--test", ok=False)
            hook.status = 204
            assert deliver(relay.smtp_port, letter(), BOB).code == 250
            wait_until(lambda: len(mails(hop)) == 3 and len(hook.notices) == 3)
            assert re.search(r"^mail +working +20\d\d-\S+ +0$", relay.cli("tenant", "notices", "acme"), re.MULTILINE)
