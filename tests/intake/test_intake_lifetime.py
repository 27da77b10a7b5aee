"""Time, hang-ups, limits, the PROXY header and the drain, on real sockets and under both event loops."""

import asyncio
import ipaddress
import itertools
import socket
import struct

import pytest

from relay.intake import answer, link, listener, session, told
from relay.intake.admission import Admission
from relay.observe.metrics import REFUSED
from relay.replies import Reply

BALANCERS = (ipaddress.ip_network("127.0.0.0/8"),)
MICROSOFT = Admission([(ipaddress.ip_network("192.0.2.0/24"), "exchange-online")])


def refused(reason):
    return REFUSED.labels(reason)._value.get()


async def test_idle_is_421(serve):
    before = refused("idle")
    house = await serve(idle_timeout=0.05)
    client = await house.connect()
    await client.talk("S: 220\nS: 421 4.4.2\nS: EOF")
    assert refused("idle") == before + 1


async def test_the_timer_looks_often_and_ends_the_session_only_at_its_deadline(serve, monkeypatch):
    monkeypatch.setattr(link, "LOOK", 0.01)
    house = await serve(idle_timeout=0.2)
    client = await house.connect()
    await client.talk("S: 220")
    loop = asyncio.get_running_loop()
    begin = loop.time()
    await client.talk("S: 421 4.4.2\nS: EOF")
    assert loop.time() - begin >= 0.15


async def test_idle_in_a_transaction_resets_it(serve):
    house = await serve(idle_timeout=0.1)
    client = await house.connect()
    await client.begin()
    await client.talk("S: 421 4.4.2\nS: EOF")
    await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"]


@pytest.mark.parametrize("command", ["DATA", "BDAT 100 LAST"])
async def test_silence_in_a_body_is_421(serve, command):
    house = await serve(data_timeout=0.05)
    client = await house.connect()
    await client.begin()
    client.send(command.encode() + b"\r\nabc")
    if command == "DATA":
        await client.talk("S: 354")
    await client.talk("S: 421 4.4.2\nS: EOF")
    await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"]


async def test_a_slow_but_moving_upload_is_not_cut_by_the_idle_limit(serve):
    house = await serve(data_timeout=0.2, idle_timeout=0.2)
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354")
    loop = asyncio.get_running_loop()
    end = loop.time() + 0.5
    while loop.time() < end:
        client.send(b"x\r\n")
        await asyncio.sleep(0.02)
    await client.talk("C: .\nS: 250")


async def test_an_upload_that_never_ends_is_cut_by_the_transfer_limit(serve):
    house = await serve(transfer_timeout=0.1)
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354")
    reply = asyncio.ensure_future(client.reply())
    while not reply.done():
        client.send(b"x\r\n")
        await asyncio.sleep(0.01)
    assert (await reply).startswith("421 4.4.2")


async def test_small_chunks_that_never_end_are_cut_by_the_transfer_limit(serve):
    house = await serve(transfer_timeout=0.05)
    client = await house.connect()
    await client.begin()
    async with asyncio.timeout(5):
        while (reply := await client.ask(b"BDAT 1\r\nx")).startswith("250"):
            pass
    assert reply.startswith("421 4.4.2")
    await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"]


async def test_a_reply_that_takes_too_long_is_451_and_the_session_goes_on(serve):
    house = await serve(reply_timeout=0.05)
    house.said.release = asyncio.Event()
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354\nC: a\nC: .\nS: 451 4.4.7\nC: NOOP\nS: 250")
    assert house.calls == ["mail", "rcpt", "message", "lost"]
    await client.talk("C: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<a@b>\nS: 250\nC: QUIT\nS: 221\nS: EOF")
    assert house.listener.sessions == 1  # its message still runs, with its bytes
    house.said.release.set()
    await house.empty()
    assert house.said.messages == [b"a\r\n"]
    assert house.calls[4:] == ["mail", "rcpt", "reset"]


async def test_a_hand_over_that_has_begun_is_waited_for(serve):
    house = await serve(reply_timeout=0.02)
    house.said.begun, house.said.release = True, asyncio.Event()
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354\nC: a\nC: .")
    asyncio.get_running_loop().call_later(0.1, house.said.release.set)
    await client.talk("S: 250 2.6.0")
    assert "lost" not in house.calls


@pytest.mark.parametrize("how", ["close", "shutdown", "reset"])
async def test_hanging_up_while_the_message_is_judged(serve, how):
    house = await serve()
    house.said.release = asyncio.Event()
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354\nC: a\nC: .")
    await house.said.entered.wait()
    if how == "shutdown":
        client.writer.write_eof()
    else:
        if how == "reset":
            sock = client.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await client.close()
    async with asyncio.timeout(5):
        while "lost" not in house.calls:
            await asyncio.sleep(0.001)
    house.said.release.set()
    await house.empty()
    assert house.calls == ["mail", "rcpt", "message", "lost"]
    assert house.said.messages == [b"a\r\n"]


async def test_hanging_up_elsewhere_resets(serve):
    house = await serve()
    for more in ("", "C: DATA\nS: 354\nC: half"):
        client = await house.connect()
        await client.begin()
        await client.talk(more)
        await client.close()
        await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"] * 2


async def test_a_client_that_closes_its_side_hears_what_it_asked(serve):
    house = await serve()
    client = await house.connect()
    client.send(b"EHLO x\r\nNOOP\r\nVRFY x\r\n")
    client.writer.write_eof()
    got = await client.ended()
    assert got.startswith(b"220 ")
    assert got.endswith(b"252 2.5.2 Cannot verify, send the message to find out\r\n")


async def test_a_client_that_takes_no_replies_is_cut_and_they_do_not_pile_up(serve, monkeypatch):
    monkeypatch.setattr(link, "TAKE_TIMEOUT", 0.05)
    monkeypatch.setattr(link, "LINGER", 0.05)
    monkeypatch.setattr(told, "IDLE_COMMANDS", 1_000_000)
    house = await serve(idle_timeout=600.0)
    _, writer = await asyncio.open_connection(*house.address, limit=10)
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    writer.write(b"EHLO x\r\n" * 400_000)
    most = 0
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while members := house.listener._service.sessions.members:
            (member,) = members
            most = max(most, sum(map(len, member._out)) + member._tcp.get_write_buffer_size())
            await asyncio.sleep(0)
    assert 0 < most < 200_000
    writer.close()


@pytest.mark.parametrize(
    ("commands", "each"),
    [(b"RCPT TO:<a@b>\r\n", 1), (b"RSET\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nBDAT 1\r\nx", 0.75)],
)
async def test_a_flood_of_commands_leaves_the_others_their_turn(serve, monkeypatch, commands, each):
    monkeypatch.setattr(told, "IDLE_COMMANDS", 1_000_000)
    house = await serve(max_recipients=1_000_000)
    client = await house.connect()
    await client.hello()
    await client.talk("C: MAIL FROM:<a@b>\nS: 250")
    client.send(commands * 2_000)
    answered = asyncio.ensure_future(client.reader.readuntil(b"221 2.0.0"))
    client.send(b"QUIT\r\n")
    steps = [len(house.said.calls)]
    async with asyncio.timeout(5):
        while not answered.done():
            await asyncio.sleep(0)
            steps.append(len(house.said.calls))
    assert steps[-1] > 2_000
    assert max(after - before for before, after in itertools.pairwise(steps)) <= session.TURN * each + 1


async def test_a_flood_that_is_not_read_waits_in_the_socket(serve, monkeypatch):
    monkeypatch.setattr(told, "IDLE_COMMANDS", 1_000_000)
    house = await serve(max_message_bytes=50_000_000, max_bytes_in_flight=100_000_000)
    house.said.release = asyncio.Event()
    client = await house.connect()
    await client.begin()
    client.send(b"BDAT 1 LAST\r\nx" + b"NOOP\r\n" * 1_000_000)
    await house.said.entered.wait()
    (member,) = house.listener._service.sessions.members
    for _ in range(200):
        await asyncio.sleep(0)
    assert member.inbox.size <= link.HIGH_WATER + 262_144  # and one arrival: asyncio reads no more at a time
    house.said.release.set()
    assert (await client.reply()).startswith("250 2.6.0")
    for _ in range(1000):
        assert (await client.reply()).startswith("250")


async def test_strangers_hear_554(serve):
    before = refused("stranger")
    house = await serve(admission=MICROSOFT)
    client = await house.connect()
    await client.talk("S: 554 5.7.1\nS: EOF")
    assert refused("stranger") == before + 1


async def test_too_many_sessions(serve):
    house = await serve(max_sessions=2)
    first = await house.connect()
    await first.talk("S: 220")
    second = await house.connect()
    await second.talk("S: 220")
    await (await house.connect()).talk("S: 421 4.3.2\nS: EOF")
    await first.talk("C: QUIT\nS: 221\nS: EOF")
    async with asyncio.timeout(5):
        while house.listener.sessions > 1:
            await asyncio.sleep(0.001)
    await (await house.connect()).talk("S: 220")


async def test_too_many_sessions_of_a_peer(serve):
    house = await serve(max_sessions_per_peer=1, proxy_networks=BALANCERS, admission=MICROSOFT)
    for peer, reply in (
        ("192.0.2.1", "220"),
        ("192.0.2.1", "421 4.3.2"),
        ("192.0.2.2", "220"),
        ("10.0.0.1", "554 5.7.1"),
    ):
        client = await house.connect()
        await client.talk(f"C: PROXY TCP4 {peer} 127.0.0.1 1 25\nS: {reply}")
    async with asyncio.timeout(5):
        while house.listener.sessions > 2:
            await asyncio.sleep(0.001)
    assert house.listener._service.sessions._peers == {"192.0.2.1": 1, "192.0.2.2": 1}


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"])
async def test_a_balancer_has_no_more_sessions_than_others(serve, header):
    house = await serve(max_sessions_per_peer=1, proxy_networks=BALANCERS, admission=MICROSOFT)
    first, second = await house.connect(), await house.connect()
    assert (await first.ask(header)).startswith("220")
    assert (await second.ask(header)).startswith("421 4.3.2")
    assert await second.ended() == b""


class BrokenLog:
    def __getattr__(self, _name):
        def fail(*_, **__):
            raise RuntimeError("no room for the log")

        return fail


@pytest.mark.parametrize("header", [b"PROXY TCP4 10.0.0.1 127.0.0.1 1 25\r\n", b"GET / HTTP/1.1\r\n"])
async def test_a_stranger_is_let_go_when_the_log_fails(serve, monkeypatch, header):
    monkeypatch.setattr(session, "log", BrokenLog())
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    house = await serve(proxy_networks=BALANCERS, admission=MICROSOFT)
    client = await house.connect()
    client.send(header)
    assert (await client.ended())[:3] == (b"554" if header.startswith(b"PROXY") else b"")
    await house.empty()


async def test_a_session_ends_when_telling_its_end_fails(serve, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    house = await serve(idle_timeout=0.2)
    client = await house.connect()
    await client.begin()
    monkeypatch.setattr(session.SmtpServer, "_refuse", fail)
    assert await client.ended() == b""
    await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"]


async def test_a_session_ends_when_reset_and_log_fail(serve, monkeypatch):
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    house = await serve()
    house.said.replies = {"reset": RuntimeError("broken")}
    client = await house.connect()
    await client.begin()
    monkeypatch.setattr(answer, "log", BrokenLog())
    await client.talk("C: QUIT\nS: 221\nS: EOF")
    await house.empty()


async def test_the_proxy_header_names_the_peer(serve):
    house = await serve(proxy_networks=BALANCERS, admission=MICROSOFT)
    client = await house.connect()
    client.send(b"PROXY TCP4 192.0.2.7 127.0.0.1 1 25\r\nEHLO x\r\n")
    await client.talk("S: 220\nS: 250-\nC: MAIL FROM:<a@b>\nS: 250")
    facts = house.said.calls[0][1]
    assert (facts.peer, facts.network) == ("192.0.2.7", "exchange-online")


async def test_a_balancers_health_check_may_look_but_not_send(serve):
    house = await serve(proxy_networks=BALANCERS, admission=MICROSOFT)
    client = await house.connect()
    await client.talk("C: PROXY UNKNOWN\nS: 220\nC: EHLO x\nS: 250-\nC: MAIL FROM:<a@b>\nS: 554 5.7.1\nC: QUIT\nS: 221")


@pytest.mark.parametrize("data", [b"EHLO x\r\n", b"PROXY TCP4 x\r\n", b"PROXY "])
async def test_without_a_right_proxy_header_a_balancer_is_hung_up_on(serve, monkeypatch, data):
    monkeypatch.setattr(session, "PROXY_TIMEOUT", 0.1)
    before = refused("proxy_header")
    house = await serve(proxy_networks=BALANCERS)
    client = await house.connect()
    client.send(data)
    assert await client.ended() == b""
    assert refused("proxy_header") == before + 1


async def test_nobody_else_may_send_a_proxy_header(serve):
    house = await serve()
    client = await house.connect()
    await client.talk("S: 220\nC: PROXY TCP4 192.0.2.7 127.0.0.1 1 25\nS: 500 5.5.1")


async def test_drain(serve):
    house = await serve()
    house.said.release = asyncio.Event()
    idle, talking, sending = [await house.connect() for _ in range(3)]
    await idle.hello()
    await talking.begin()
    await sending.begin()
    await sending.talk("C: DATA\nS: 354\nC: a\nC: .")
    await house.said.entered.wait()
    drained = asyncio.ensure_future(house.listener.drain(5.0))
    await idle.talk("S: 421 4.3.2\nS: EOF")
    with pytest.raises(OSError):
        await house.connect()
    await talking.talk("C: DATA\nS: 354\nC: b\nC: .")
    house.said.release.set()
    for client in (sending, talking):
        await client.talk("S: 250 2.6.0\nS: 421 4.3.2\nS: EOF")
    assert await drained == 0
    assert sorted(house.said.messages) == [b"a\r\n", b"b\r\n"]


async def test_drain_cuts_after_the_grace_time_but_no_hand_over(serve, monkeypatch):
    monkeypatch.setattr(listener, "LAST_WORDS", 0.05)
    house = await serve()
    house.said.release = asyncio.Event()
    waiting, judging = await house.connect(), await house.connect()
    await waiting.begin()
    await judging.begin()
    await judging.talk("C: DATA\nS: 354\nC: a\nC: .")
    await house.said.entered.wait()
    assert await house.listener.drain(0.05) == 1  # lost() was called; message() runs on
    for client in (waiting, judging):
        await client.talk("S: 421 4.3.2\nS: EOF")
    assert house.calls.count("lost") == 1
    house.said.release.set()
    await house.empty()


async def test_drain_never_cuts_a_hand_over(serve, monkeypatch):
    monkeypatch.setattr(listener, "LAST_WORDS", 0.02)
    house = await serve()
    house.said.begun, house.said.release = True, asyncio.Event()
    client = await house.connect()
    await client.begin()
    await client.talk("C: DATA\nS: 354\nC: a\nC: .")
    await house.said.entered.wait()
    assert await house.listener.drain(0.02) == 1
    house.said.release.set()
    await client.talk("S: 250 2.6.0\nS: 421 4.3.2\nS: EOF")
    assert "lost" not in house.calls


async def test_a_reload_is_for_new_sessions(serve, options):
    house = await serve()
    old = await house.connect()
    await old.hello()
    house.listener.reconfigure(options(name="new.example", max_bytes_in_flight=5), house.listener._service.admission)
    new = await house.connect()
    await new.talk("S: 220 new.example\nC: EHLO x\nS: 250-\nC: MAIL FROM:<a@b>\nS: 452 4.3.1")
    await old.talk("C: HELO x\nS: 250 mx.relay.example")


async def test_a_421_of_the_next_hop_closes(serve):
    house = await serve()
    house.said.replies = {"rcpt": Reply(421, ("4.3.2 closing",))}
    client = await house.connect()
    await client.hello()
    await client.talk("C: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<a@b>\nS: 421 4.3.2 closing\nS: EOF")
