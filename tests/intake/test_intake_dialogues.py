"""Conversations with a session over a real socket, under asyncio and uvloop."""

import asyncio

import pytest

from relay.errors import NextHopFailed, Refused
from relay.intake import told
from relay.replies import Reply


async def test_one_message(serve):
    house = await serve()
    client = await house.connect()
    await client.talk(r"""
        S: 220 mx.relay.example ESMTP
        C: EHLO client.example
        S: 250-mx.relay.example
        C: MAIL FROM:<a@b.example> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+2B AUTH=<>
        S: 250 2.1.0 Sender ok
        C: RCPT TO:<c@d.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c@d.example
        S: 250 2.1.5 Recipient ok
        C: DATA
        S: 354
        C: Subject: x\r\n\r\n..dot\r\n.
        S: 250 2.6.0 Delivered
        C: QUIT
        S: 221 2.0.0
        S: EOF
    """)
    (_, session, envelope), (_, recipient), _ = house.said.calls
    assert house.said.messages == [b"Subject: x\r\n\r\n.dot\r\n"]
    assert (session.helo, session.network, session.peer, session.esmtp) == (
        "client.example",
        "operator",
        "127.0.0.1",
        True,
    )
    assert (envelope.sender, envelope.size, envelope.body, envelope.ret, envelope.envid) == (
        "a@b.example", 100, "8BITMIME", "HDRS", "x+2B",
    )  # fmt: skip
    assert (recipient.address, recipient.notify, recipient.orcpt) == (
        "c@d.example",
        "SUCCESS,DELAY",
        "rfc822;c@d.example",
    )


async def test_ehlo_announces_what_we_do(serve):
    house = await serve()
    client = await house.connect()
    await client.reply()
    said = {line[4:] for line in (await client.ask(b"EHLO x\r\n")).split("\n")}
    assert said == {
        "mx.relay.example", "SIZE 1000000", "PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN",
        "ENHANCEDSTATUSCODES",
    }  # fmt: skip
    assert await client.ask(b"HELO x\r\n") == "250 mx.relay.example"


async def test_everything_pipelined_in_one_write_has_its_replies_in_order(serve):
    house = await serve()
    client = await house.connect()
    await client.hello()
    client.send(
        b"MAIL FROM:<>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@d.example>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\nde"
        b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nx\r\n.\r\nNOOP\r\nQUIT\r\n"
    )
    replies = [await client.reply() for _ in range(11)]
    assert [reply[:3] for reply in replies] == [
        "250",
        "250",
        "250",
        "250",
        "250",
        "250",
        "250",
        "354",
        "250",
        "250",
        "221",
    ]
    assert replies[3] == "250 2.0.0 3 octets received"
    assert house.said.messages == [b"abcde", b"x\r\n"]
    assert await client.ended() == b""


async def test_the_reply_to_a_message_does_not_wait_for_the_next_command(serve):
    house = await serve()
    client = await house.connect()
    await client.begin()
    house.said.wait_in_mail = asyncio.Event()
    client.send(b"BDAT 1 LAST\r\naMAIL FROM:<a@b>\r\n")
    assert await client.reply() == "250 2.6.0 Delivered"
    house.said.wait_in_mail.set()
    assert await client.reply() == "250 2.1.0 Sender ok"


async def test_every_byte_by_itself(serve):
    house = await serve()
    client = await house.connect()
    await client.reply()
    for byte in b"EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n":
        client.send(bytes([byte]))
        await client.writer.drain()
        await asyncio.sleep(0)
    for code in ("250-", "250", "250", "354"):
        assert (await client.reply()).startswith(code)
    for byte in b"a\r\n..\r\n.\r\nQUIT\r\n":
        client.send(bytes([byte]))
        await asyncio.sleep(0)
    assert (await client.reply()).startswith("250")
    assert house.said.messages == [b"a\r\n.\r\n"]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (r"FOO", "500 5.5.1"),
        (r"", "500 5.5.1"),
        (r"NOOP\nNOOP", "500 5.5.2"),
        (r"NOOP\rX", "500 5.5.2"),
        (r"NOOP\0", "500 5.5.2"),
        (r"NOOP " + "x" * 1100, "500 5.5.2"),
        (r"NOOP \xff", "500 5.5.2"),
        (r"EHLO", "501 5.5.4"),
        (r"EHLO a b", "501 5.5.4"),
        (r"MAIL FROM:<a@b> SIZE=1000001", "552 5.3.4"),
        (r"MAIL FROM:<a@b> FOO=1", "555 5.5.4"),
        (r"MAIL FROM:<a@b> BODY=BINARYMIME", "555 5.5.4"),
        (r"MAIL FROM:<a@b> BODY=7BIT BODY=7BIT", "501 5.5.4"),
        (r"MAIL FROM:a@b", "501 5.5.4"),
        (r"MAIL FROM:<a@@b>", "553 5.1.7"),
        (r"MAIL FROM:<\xc3\xa4@b>", "553 5.6.7"),
        (r"RCPT TO:<a@b>", "503 5.5.1"),
        (r"DATA", "503 5.5.1"),
        (r"BDAT 0 LAST", "503 5.5.1"),
        (r"DATA now", "501 5.5.4"),
        (r"STARTTLS", "502 5.5.1"),
        (r"RSET", "250 2.0.0"),
        (r"RSET x", "501 5.5.4"),
        (r"noop anything", "250 2.0.0"),
        (r"VRFY a", "252 2.5.2"),
        (r"HELP", "214 2.0.0"),
        (r"EXPN a", "500 5.5.1"),
        (r"AUTH PLAIN", "500 5.5.1"),
    ],
)
async def test_one_command_then_the_session_goes_on(serve, command, reply):
    house = await serve()
    client = await house.connect()
    await client.hello()
    await client.talk(f"C: {command}\nS: {reply}\nC: NOOP\nS: 250 2.0.0")


async def test_a_bare_lf_is_refused_before_its_crlf_comes_and_only_once(serve):
    house = await serve()
    client = await house.connect()
    await client.hello()
    assert (await client.ask(b"NOOP\n")).startswith("500 5.5.2")
    client.send(b"NOOP\nMAIL FROM:<a@b>\n")
    assert (await client.ask(b"NOOP\r\nVRFY x\r\n")).startswith("252")


async def test_sequence(serve):
    house = await serve()
    client = await house.connect()
    await client.talk("""
        S: 220
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: EHLO x
        S: 250-
        C: MAIL FROM:<a@b>
        S: 250
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: DATA
        S: 554 5.5.1
        C: RCPT TO:<>
        S: 553 5.1.3
        C: RCPT TO:<postmaster>
        S: 250
        C: BDAT 3
        C: a
        S: 250 2.0.0 3 octets received
        C: RCPT TO:<x@y>
        S: 503 5.5.1
        C: DATA
        S: 503 5.5.1
        C: MAIL FROM:<a@b>
        S: 503 5.5.1
        C: RSET
        S: 250 2.0.0
        C: DATA
        S: 503 5.5.1
    """)
    assert house.calls == ["mail", "rcpt", "reset"]


async def test_chunks_are_consumed_even_where_they_are_refused(serve):
    house = await serve()
    client = await house.connect()
    await client.hello()
    assert (await client.ask(b"BDAT 6\r\nQUIT\r\n")).startswith("503")
    await client.talk("C: MAIL FROM:<a@b>\nS: 250")
    assert (await client.ask(b"BDAT 6 LAST\r\nQUIT\r\n")).startswith("554 5.5.1")
    await client.talk("C: NOOP\nS: 250")


@pytest.mark.parametrize("command", [b"BDAT x LAST\r\nQUIT\r\n", b"BDAT 1000000000000000000 LAST\r\nQUIT\r\n"])
async def test_a_chunk_whose_end_is_out_of_reach_closes(serve, command):
    house = await serve()
    client = await house.connect()
    await client.begin()
    assert (await client.ask(command))[:3] in ("501", "552")
    assert await client.ended() == b""


@pytest.mark.parametrize("by", ["DATA", "BDAT"])
@pytest.mark.parametrize(
    ("changes", "declared", "reply"),
    [({"max_message_bytes": 70_000}, b"", "552 5.3.4"), ({"max_bytes_in_flight": 70_000}, b"", "452 4.3.1")],
)
async def test_what_is_too_much_is_read_to_its_end_and_refused(serve, by, changes, declared, reply):
    house = await serve(**({"max_message_bytes": 1_000_000} | changes))
    client = await house.connect()
    await client.begin()
    body = b"0123456789abcdef" * 20_000
    if by == "DATA":
        assert (await client.ask(b"DATA\r\n")).startswith("354")
        client.send(body + b"\r\n.\r\n")
    else:
        client.send(b"BDAT %d\r\n%sBDAT 0 LAST\r\n" % (len(body), body))
        assert (await client.reply()).startswith(reply)
    assert (await client.reply()).startswith(reply)
    await client.talk("C: NOOP\nS: 250")
    assert house.said.messages == [b""]
    assert house.budget.used == 0


async def test_mail_is_refused_when_the_budget_has_no_room(serve):
    house = await serve(max_bytes_in_flight=150_000)
    first, second = await house.connect(), await house.connect()
    await first.hello()
    await second.hello()
    await first.talk("C: MAIL FROM:<a@b> SIZE=100000\nS: 250\nC: RCPT TO:<a@b>\nS: 250\nC: DATA\nS: 354")
    await second.talk("C: MAIL FROM:<a@b> SIZE=100000\nS: 452 4.3.1\nC: MAIL FROM:<a@b>\nS: 452 4.3.1")
    await first.talk("C: .\nS: 250")
    await second.talk("C: MAIL FROM:<a@b> SIZE=100000\nS: 250")


async def test_mail_without_content_takes_no_room(serve):
    house = await serve(max_bytes_in_flight=150_000)
    for _ in range(5):
        client = await house.connect()
        await client.hello()
        await client.talk("C: MAIL FROM:<a@b> SIZE=150000\nS: 250\nC: RCPT TO:<a@b>\nS: 250")
    assert house.budget.used == 0


async def two_who_want_the_same_room(serve):
    """Both said MAIL and RCPT; the first has the room."""
    house = await serve(max_bytes_in_flight=150_000)
    first, second = await house.connect(), await house.connect()
    for client in (first, second):
        await client.hello()
        await client.talk("C: MAIL FROM:<a@b> SIZE=100000\nS: 250\nC: RCPT TO:<a@b>\nS: 250")
    await first.talk("C: DATA\nS: 354")
    assert house.budget.used == 100_000
    return house, first, second


async def test_data_is_refused_when_the_room_went_to_another(serve):
    house, first, second = await two_who_want_the_same_room(serve)
    await second.talk("C: DATA\nS: 452 4.3.1\nC: NOOP\nS: 250")
    assert house.budget.used == 100_000
    await first.talk("C: .\nS: 250")
    await second.talk("C: DATA\nS: 354\nC: x\nC: .\nS: 250 2.6.0")
    assert house.said.messages == [b"", b"x\r\n"]


async def test_chunks_are_refused_to_the_last_when_the_room_went_to_another(serve):
    house, first, second = await two_who_want_the_same_room(serve)
    assert (await second.ask(b"BDAT 6\r\nQUIT\r\n")).startswith("452 4.3.1")
    await first.talk("C: .\nS: 250")
    assert house.budget.used == 0
    assert (await second.ask(b"BDAT 3\r\nabc")).startswith("452 4.3.1")  # half a message is none
    assert (await second.ask(b"BDAT 6 LAST\r\nQUIT\r\n")).startswith("452 4.3.1")
    await second.talk("C: NOOP\nS: 250")
    assert house.said.messages == [b"", b""]


async def test_replies_of_the_conversation_go_back_word_for_word(serve):
    house = await serve()
    house.said.replies = {
        "mail": [Reply(250, ("ok \u00e4", "second line"))],
        "rcpt": [
            Reply(550, ("5.1.1 No such user", "5.1.1 really")),
            NextHopFailed(Reply.of(451, "4.4.1", "later"), "connect"),
            Refused(Reply.of(452, "4.5.3", "other"), "other_route"),
            RuntimeError("a bug"),
        ],
    }
    client = await house.connect()
    await client.hello()
    assert await client.ask(b"MAIL FROM:<a@b>\r\n") == "250-ok \u00e4\n250 second line"
    assert await client.ask(b"RCPT TO:<a@b>\r\n") == "550-5.1.1 No such user\n550 5.1.1 really"
    for reply in ("451 4.4.1 later", "452 4.5.3 other", "451 4.3.0 Local failure, try again later"):
        assert await client.ask(b"RCPT TO:<a@b>\r\n") == reply
    await client.talk("C: DATA\nS: 554 5.5.1")


async def test_a_refused_mail_begins_nothing(serve):
    house = await serve()
    house.said.replies = {"mail": [Reply.of(550, "5.7.1", "no"), RuntimeError("a bug")]}
    client = await house.connect()
    await client.hello()
    await client.talk("C: MAIL FROM:<a@b>\nS: 550\nC: RCPT TO:<a@b>\nS: 503")
    await client.talk("C: MAIL FROM:<a@b>\nS: 451\nC: RCPT TO:<a@b>\nS: 503")
    assert house.calls == ["mail", "reset", "mail", "reset"]
    assert house.budget.used == 0


async def test_a_message_that_crashes_is_451_and_the_session_goes_on(serve):
    house = await serve()
    house.said.replies = {"message": [RuntimeError("a bug"), Reply.of(250, "2.6.0", "Delivered")]}
    client = await house.connect()
    await client.hello()
    for reply in ("451 4.3.0", "250 2.6.0"):
        await client.talk("C: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<a@b>\nS: 250")
        await client.talk(f"C: DATA\nS: 354\nC: x\nC: .\nS: {reply}")
    assert house.calls == ["mail", "rcpt", "message", "reset", "mail", "rcpt", "message"]


@pytest.mark.parametrize("command", ["RSET", "EHLO x", "HELO x", "QUIT"])
async def test_what_resets(serve, command):
    house = await serve()
    client = await house.connect()
    await client.begin()
    await client.talk(f"C: {command}\nS: 2")
    await client.close()
    await house.empty()
    assert house.calls == ["mail", "rcpt", "reset"]


async def test_limits_of_recipients_and_errors(serve):
    house = await serve(max_recipients=2, max_errors=3)
    client = await house.connect()
    await client.begin()
    await client.talk("""
        C: RCPT TO:<e@d.example>
        S: 250
        C: RCPT TO:<f@d.example>
        S: 452 4.5.3
        C: FOO
        S: 500
        C: MAIL FROM:<a@b>
        S: 503
        C: RCPT TO:<
        S: 452 4.5.3
        C: BAR
        S: 500
        S: 421 4.7.0
        S: EOF
    """)


@pytest.mark.parametrize("command", ["NOOP", "RSET", "HELP", "VRFY x", "EHLO x", "HELO x"])
async def test_commands_that_lead_nowhere_become_errors(serve, monkeypatch, command):
    monkeypatch.setattr(told, "IDLE_COMMANDS", 4)
    house = await serve(max_errors=2)
    client = await house.connect()
    await client.reply()
    for _ in range(5):
        assert (await client.ask(command.encode() + b"\r\n")).startswith("2")
    assert (await client.ask(command.encode() + b"\r\n")).startswith("2")
    await client.talk("S: 421 4.7.0\nS: EOF")


async def test_a_message_forgives_the_commands_that_led_nowhere(serve, monkeypatch):
    monkeypatch.setattr(told, "IDLE_COMMANDS", 4)
    house = await serve(max_errors=1)
    client = await house.connect()
    await client.hello()
    for _ in range(3):
        await client.talk("C: NOOP\nS: 250\nC: RSET\nS: 250\nC: MAIL FROM:<a@b>\nS: 250\nC: RCPT TO:<a@b>\nS: 250")
        await client.talk("C: DATA\nS: 354\nC: .\nS: 250 2.6.0")


@pytest.mark.parametrize("pretended", [Reply.of(550, "5.1.1", "no"), Refused(Reply.of(550, "5.7.1", "no"), "x")])
async def test_recipients_that_are_refused_again_and_again_end_the_session(serve, pretended):
    house = await serve(max_errors=2)
    house.said.replies = {"rcpt": pretended}
    client = await house.connect()
    await client.hello()
    await client.talk("C: MAIL FROM:<a@b>\nS: 250")
    limit = 10 if isinstance(pretended, Reply) else 2
    for number in range(limit):
        assert (await client.ask(b"RCPT TO:<user%d@b.example>\r\n" % number)).startswith("550")
    await client.talk("S: 421 4.7.0\nS: EOF")


async def test_refused_recipients_of_many_messages_do_not_add_up(serve):
    house = await serve(max_errors=1)
    client = await house.connect()
    await client.hello()
    for _ in range(3):
        no = Reply.of(550, "5.1.1", "no")
        house.said.replies = {"rcpt": [no, no, no, Reply.of(250, "2.1.5", "yes")]}
        await client.talk("C: MAIL FROM:<a@b>\nS: 250")
        await client.talk("C: RCPT TO:<a@b>\nS: 550\n" * 3 + "C: RCPT TO:<a@b>\nS: 250")
        await client.talk("C: DATA\nS: 354\nC: .\nS: 250 2.6.0")


async def test_smtputf8(serve):
    house = await serve()
    client = await house.connect()
    await client.hello()
    client.send("MAIL FROM:<\u00e4@b\u00fccher.example> SMTPUTF8\r\nRCPT TO:<\u00f6@x.example>\r\n".encode())
    assert (await client.reply(), await client.reply()) == ("250 2.1.0 Sender ok", "250 2.1.5 Recipient ok")
    assert house.said.calls[0][2].sender == "\u00e4@b\u00fccher.example"
    assert house.said.calls[0][2].smtputf8
    assert house.said.calls[1][1].address == "\u00f6@x.example"
