import asyncio

import pytest
from doubles.nexthop import FEATURES, HANG_UP, NextHop, Stall

from relay.errors import Abandoned, NextHopFailed, Refused
from relay.observe import metrics
from relay.replies import Reply
from verdicts.mail import Envelope, Recipient

ANN, BOB, CAT = (Recipient(f"{name}@acme.example") for name in ("ann", "bob", "cat"))
BODY = b"Subject: hi\r\n\r\n.dot\r\n..\r\nend\r\n"
ENVELOPE = Envelope("sender@example.net")
NO_CHUNKING = [feature for feature in FEATURES if feature != "CHUNKING"]
WAYS = {
    "bdat": list(FEATURES),
    "data": NO_CHUNKING,
    "bdat in turn": ["CHUNKING"],
    "data in turn": [],
}


def passage_to(delivery, hop, envelope=ENVELOPE):
    return delivery.passage("127.0.0.1", hop.port, envelope)


async def hand_over(passage, content=BODY, *, step=7, bare=False):
    pieces = [content[at : at + step] for at in range(0, len(content), step)]
    return await passage.hand_over(lambda: iter(pieces), len(content), bare)


async def send(delivery, hop, *recipients):
    passage = passage_to(delivery, hop)
    for recipient in recipients or (ANN,):
        assert (await passage.ask(recipient)).code == 250
    return await hand_over(passage)


def failures(kind):
    return metrics.NEXT_HOP_FAILED.labels(kind)._value.get()


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_a_message_arrives_as_it_was(deliver, features):
    async with NextHop(features) as hop:
        passage = passage_to(deliver(), hop)
        assert await passage.ask(ANN) == Reply(250, ("2.1.5 Recipient OK",))
        await passage.ask(BOB)
        assert passage.accepted == (ANN, BOB)
        assert not passage.begun
        assert await hand_over(passage) == Reply(250, ("2.6.0 Queued",))
        assert passage.begun
        (message,) = hop.messages
        assert (message.mail, message.content) == ("<sender@example.net>", BODY)
        assert message.rcpts == ["<ann@acme.example>", "<bob@acme.example>"]
        assert message.by == ("BDAT" if "CHUNKING" in features else "DATA")


async def test_commands_are_pipelined_only_where_offered(deliver):
    async with NextHop([]) as hop, NextHop(["PIPELINING"]) as other:
        delivery = deliver()
        await passage_to(delivery, hop).ask(ANN)
        await passage_to(delivery, other).ask(ANN)
        assert (hop.pipelined, other.pipelined) == (0, 1)


async def test_data_adds_the_last_line_end_and_nothing_else(deliver):
    async with NextHop([]) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        await hand_over(passage, b"\r\n.\r\nlast")
        assert hop.messages[0].content == b"\r\n.\r\nlast\r\n"


async def test_dots_are_not_looked_for_where_there_are_none(deliver):
    async with NextHop([]) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        await passage.hand_over(lambda: [b"a\r\n.b\r\n"], 7, bare=False, dotted=False)
        assert hop.messages[0].content == b"a\r\nb\r\n"  # was not true, which nobody noticed


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_connections_are_used_again(deliver, features):
    async with NextHop(features) as hop:
        delivery = deliver()
        for _ in range(5):
            await send(delivery, hop)
        assert (hop.connections, len(hop.messages)) == (1, 5)
        assert "RSET" not in hop.verbs()


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_refusals_are_passed_on_word_for_word(deliver, features):
    said = {"RCPT": lambda line: "550 5.1.1 no <bob>\n5.1.1 really" if "bob" in line else None}
    async with NextHop(features, said) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        assert await passage.ask(BOB) == Reply(550, ("5.1.1 no <bob>", "5.1.1 really"))
        await passage.ask(CAT)
        assert passage.accepted == (ANN, CAT)
        await hand_over(passage)
        assert hop.messages[0].rcpts == ["<ann@acme.example>", "<cat@acme.example>"]


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_a_refused_mail_is_the_reply_to_rcpt(deliver, features):
    async with NextHop(features, {"MAIL": ["451 4.7.500 Server busy", None]}) as hop:
        passage = passage_to(deliver(), hop)
        assert await passage.ask(ANN) == Reply(451, ("4.7.500 Server busy",))
        assert passage.accepted == ()
        assert (await passage.ask(BOB)).code == 250
        await hand_over(passage)
        assert hop.messages[0].rcpts == ["<bob@acme.example>"]


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("code", [452, 554])
async def test_a_refused_body_is_passed_on_and_the_connection_used_again(deliver, features, code):
    async with NextHop(features, {"BODY": [f"{code} 5.6.0 no\nthanks", None]}) as hop:
        delivery = deliver()
        assert await send(delivery, hop) == Reply(code, ("5.6.0 no", "thanks"))
        assert (await send(delivery, hop)).code == 250
        assert (hop.connections, len(hop.messages)) == (1, 1)


async def test_a_refused_data_is_passed_on(deliver):
    async with NextHop(NO_CHUNKING, {"DATA": ["451 4.3.0 later", None]}) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        assert (await hand_over(passage)).code == 451
        assert not passage.begun
        assert (await send(delivery, hop)).code == 250
        assert (hop.connections, hop.verbs().count("RSET")) == (1, 1)


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_reset_ends_the_transaction_at_once_and_keeps_the_connection(deliver, features):
    async with NextHop(features) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        await passage.reset()
        await passage.reset()
        await hop.until(lambda: "RSET" in hop.verbs())
        assert (await send(delivery, hop, BOB)).code == 250
        assert hop.connections == 1
        assert hop.messages[0].rcpts == ["<bob@acme.example>"]


async def test_a_reset_is_awaited_before_the_next_transaction_unless_pipelining_is_offered(deliver):
    async with NextHop([]) as hop, NextHop(["PIPELINING"]) as other:
        delivery = deliver()
        for each in (hop, other):
            passage = passage_to(delivery, each)
            await passage.ask(ANN)
            await passage.reset()
            await passage_to(delivery, each).ask(BOB)
        assert hop.pipelined == 0
        assert other.pipelined > 1


async def test_a_reset_that_is_refused_costs_the_connection_only(deliver):
    async with NextHop(replies={"RSET": "500 no"}) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        await passage.reset()
        assert (await send(delivery, hop)).code == 250
        assert hop.connections == 2


async def test_parameters_go_where_they_are_offered(deliver):
    envelope = Envelope("ä@example.net", body="8BITMIME", smtputf8=True, size=10, ret="FULL", envid="id1")
    async with NextHop() as hop:
        passage = passage_to(deliver(), hop, envelope)
        await passage.ask(Recipient("ö@acme.example", "NEVER", "utf-8;x"))
        await hand_over(passage)
        (message,) = hop.messages
        assert message.mail == "<ä@example.net> SIZE=8202 BODY=8BITMIME SMTPUTF8 RET=FULL ENVID=id1"
        assert message.rcpts == ["<ö@acme.example> NOTIFY=NEVER ORCPT=utf-8;x"]


@pytest.mark.parametrize(
    ("envelope", "reason"), [(Envelope(smtputf8=True), "smtputf8"), (Envelope(body="8BITMIME"), "eightbit")]
)
async def test_what_the_next_hop_lacks_is_refused_before_anything_is_asked(deliver, envelope, reason):
    async with NextHop([]) as hop:
        with pytest.raises(Refused) as refused:
            await passage_to(deliver(), hop, envelope).ask(ANN)
        assert refused.value.reason == reason
        assert "MAIL" not in hop.verbs()


async def test_bare_line_ends_go_by_bdat_or_not_at_all(deliver):
    content = b"a\rb\nc\r\n.\r\nd\n.\n"
    async with NextHop() as hop, NextHop(NO_CHUNKING) as other:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        await hand_over(passage, content, bare=True)
        assert hop.messages[0].content == content
        passage = passage_to(delivery, other)
        await passage.ask(ANN)
        with pytest.raises(Refused) as refused:
            await hand_over(passage, content, bare=True)
        assert refused.value.reason == "bdat_needed"
        assert "DATA" not in other.verbs()
        assert not passage.begun


async def test_helo_where_ehlo_is_not_known(deliver):
    async with NextHop(replies={"EHLO": "502 5.5.1 what?"}) as hop:
        assert (await send(deliver(), hop)).code == 250
        assert hop.commands[:2] == ["EHLO mx1.relay.example", "HELO mx1.relay.example"]
        assert hop.messages[0].by == "DATA"


# Held, given back, asked again.


async def test_a_transaction_is_given_back_after_hold_and_asked_again(deliver):
    async with NextHop() as hop:
        passage = passage_to(deliver(hold=0.05), hop)
        await passage.ask(ANN)
        await passage.ask(BOB)
        await hop.until(lambda: "RSET" in hop.verbs())
        assert (await hand_over(passage)).code == 250
        assert hop.verbs()[1:] == ["MAIL", "RCPT", "RCPT", "RSET", "MAIL", "RCPT", "RCPT", "BDAT"]
        assert (hop.connections, len(hop.messages[0].rcpts)) == (1, 2)


async def test_a_transaction_is_recalled_when_others_wait(deliver):
    given_back = metrics.POOL_GIVEN_BACK._value.get()
    async with NextHop() as hop:
        delivery = deliver(connections=1)
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        assert (await send(delivery, hop, BOB)).code == 250
        await passage.ask(CAT)
        assert (await hand_over(passage)).code == 250
        assert [message.rcpts for message in hop.messages] == [
            ["<bob@acme.example>"],
            ["<ann@acme.example>", "<cat@acme.example>"],
        ]
        assert hop.connections == 1
    assert metrics.POOL_GIVEN_BACK._value.get() == given_back + 1


@pytest.mark.parametrize("step", ["MAIL", "RCPT"])
@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_answers_that_changed_are_told(deliver, step, features):
    async with NextHop(features, {step: [None, "550 5.7.1 not any more"]}) as hop:
        delivery = deliver(hold=0.05)
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        await hop.until(lambda: "RSET" in hop.verbs())
        with pytest.raises(NextHopFailed) as failed:
            await hand_over(passage)
        assert (failed.value.reason, failed.value.reply.code) == ("changed", 451)
        assert not passage.begun
        assert hop.messages == []


async def test_a_held_transaction_that_dies_is_asked_again(deliver):
    async with NextHop() as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        hop.hang_up()
        await hop.until(lambda: hop.open == 0)
        assert (await hand_over(passage)).code == 250
        assert (hop.connections, len(hop.messages)) == (2, 1)


async def test_unasked_words_end_a_held_connection(deliver):
    async with NextHop() as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        hop.say(b"421 4.4.2 too long\r\n")
        await hop.until(lambda: hop.open == 0)
        assert (await passage.ask(BOB)).code == 250
        assert (await hand_over(passage)).code == 250
        assert (hop.connections, len(hop.messages[0].rcpts)) == (2, 2)


# Connections that turn out dead.


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("how", [HANG_UP, "421 4.4.2 too many messages"])
async def test_a_dead_pooled_connection_is_replaced_once(deliver, features, how):
    async with NextHop(features, {"MAIL": [None, how, None]}) as hop:
        delivery = deliver()
        await send(delivery, hop)
        assert (await send(delivery, hop)).code == 250
        assert (hop.connections, len(hop.messages)) == (2, 2)


async def test_a_connection_that_dies_at_data_is_replaced_once(deliver):
    async with NextHop(NO_CHUNKING, {"DATA": [HANG_UP, None]}) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        assert (await hand_over(passage)).code == 250
        assert (hop.connections, len(hop.messages)) == (2, 1)


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
async def test_a_new_connection_that_dies_is_not_replaced(deliver, step):
    async with NextHop(NO_CHUNKING, {step: HANG_UP}) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await send(deliver(), hop)
        assert (failed.value.reason, str(failed.value.reply)[:9]) == ("hung_up", "451 4.4.2")
        assert hop.connections == (2 if step == "DATA" else 1)


async def test_idle_connections_that_hang_up_are_forgotten(deliver):
    async with NextHop() as hop:
        delivery = deliver()
        await send(delivery, hop)
        hop.hang_up()
        await hop.until(lambda: hop.open == 0)
        await send(delivery, hop)
        assert hop.verbs().count("MAIL") == 2


async def test_a_421_to_mail_of_a_new_connection_is_passed_on(deliver):
    async with NextHop(replies={"MAIL": "421 4.3.2 go away"}) as hop:
        assert await passage_to(deliver(), hop).ask(ANN) == Reply(421, ("4.3.2 go away",))


async def test_a_refusal_followed_by_a_hang_up_is_passed_on(deliver):
    async with NextHop(replies={"MAIL": ("554 5.7.1 banned", HANG_UP)}) as hop:
        assert str(await passage_to(deliver(), hop).ask(ANN)) == "554 5.7.1 banned"


# The body.


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_a_hang_up_behind_the_body_is_never_tried_again(deliver, features):
    async with NextHop(features, {"BODY": HANG_UP}) as hop:
        before = failures("hung_up")
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        with pytest.raises(NextHopFailed) as failed:
            await hand_over(passage)
        assert (failed.value.reason, failed.value.reply.code, passage.begun) == ("hung_up", 451, True)
        assert (hop.connections, len(hop.messages), failures("hung_up")) == (1, 1, before + 1)


async def test_a_final_reply_that_never_comes_is_a_timeout(deliver):
    stall = Stall()
    async with NextHop(replies={"BODY": stall}) as hop:
        passage = passage_to(deliver(final_timeout=0.1), hop)
        await passage.ask(ANN)
        with pytest.raises(NextHopFailed) as failed:
            await hand_over(passage)
        assert (failed.value.reason, str(failed.value.reply)[:9], passage.begun) == ("timeout", "451 4.4.2", True)
        await hop.until(lambda: hop.open == 1)


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_an_early_refusal_is_passed_on_and_the_rest_is_not_sent(deliver, features):
    taken = 0

    def pieces():
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield b"x" * 99_998 + b"\r\n"

    async with NextHop(features, {"MIDBODY": Stall(then="552 5.3.4 too big")}) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        stall = hop.replies["MIDBODY"]
        task = asyncio.create_task(passage.hand_over(pieces, 100_000_000, False))
        await stall.reached.wait()
        stall.go.set()
        assert await task == Reply(552, ("5.3.4 too big",))
        assert taken < 1000
        assert hop.messages == []
        hop.replies.clear()
        assert (await send(delivery, hop)).code == 250
        assert hop.connections == 2


async def test_an_early_yes_is_not_believed(deliver):
    async with NextHop(replies={"MIDBODY": "250 2.0.0 fine"}) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        with pytest.raises(NextHopFailed) as failed:
            await passage.hand_over(lambda: iter([b"x" * 1_000_000] * 100), 100_000_000, False)
        assert (failed.value.reason, failed.value.reply.code) == ("protocol", 451)
        assert hop.messages == []


async def test_a_slow_next_hop_slows_the_reading_of_pieces(deliver):
    taken = 0

    def pieces():
        nonlocal taken
        for _ in range(300):
            taken += 1
            yield b"x" * 100_000

    stall = Stall(then=b"")
    async with NextHop(replies={"MIDBODY": stall}) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        task = asyncio.create_task(passage.hand_over(pieces, 30_000_000, False))
        await stall.reached.wait()
        seen = -1
        while seen != taken:  # until the sockets and buffers between us are full
            seen = taken
            await asyncio.sleep(0.05)
        assert taken < 200
        stall.go.set()
        assert (await task).code == 250
        assert len(hop.messages[0].content) == 30_000_000


async def test_a_next_hop_that_takes_no_bytes_is_a_timeout(deliver):
    async with NextHop(replies={"MIDBODY": Stall()}) as hop:
        passage = passage_to(deliver(command_timeout=0.1), hop)
        await passage.ask(ANN)
        with pytest.raises(NextHopFailed) as failed:
            await passage.hand_over(lambda: iter([b"x" * 1_000_000] * 50), 50_000_000, False)
        assert failed.value.reason == "timeout"
        assert hop.messages == []


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("size", [10, 1_000_000])
async def test_pieces_that_break_off_never_end_a_message(deliver, features, size):
    def pieces():
        yield b"x" * size
        raise OSError("disk")

    async with NextHop(features) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        with pytest.raises(OSError, match="disk"):
            await passage.hand_over(pieces, 2 * size, False)
        await hop.until(lambda: hop.open == 0)
        assert hop.messages == []
        assert (await send(delivery, hop)).code == 250


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_a_large_body_with_dots_arrives_as_it_was(deliver, features):
    content = b".x\r\n" + (b"." * 70 + b"\r\n") * 20_000 + b"\r\n..\r\n"
    async with NextHop(features) as hop:
        passage = passage_to(deliver(), hop)
        await passage.ask(ANN)
        await hand_over(passage, content, step=30_001)
        assert hop.messages[0].content == content


# Broken next hops.

STEPS = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY"]
NONSENSE = {
    "garbage": b"\x00\xff\r\n",
    "endless line": b"250 " + b"x" * 100_000,
    "endless reply": b"250-x\r\n" * 5_000,
    "http": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "bare line feed": b"250 ok\n354 ok\r\n",
    "3yz": b"399 what\r\n",
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_is_a_temporary_failure(deliver, step, kind):
    nonsense = NONSENSE["garbage" if (step, kind) == ("DATA", "3yz") else kind]  # any 3yz will do for DATA
    async with NextHop(NO_CHUNKING, {step: nonsense}) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await send(deliver(), hop)
        wanted = "connect" if step in STEPS[:2] and nonsense == NONSENSE["3yz"] else "protocol"
        assert (failed.value.reason, failed.value.reply.code) == (wanted, 451)


@pytest.mark.parametrize("step", STEPS)
async def test_silence_is_a_timeout(deliver, step):
    connecting = 0.1 if step in STEPS[:2] else 10.0
    async with NextHop(NO_CHUNKING, {step: Stall()}) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await send(deliver(connect_timeout=connecting, command_timeout=0.1, final_timeout=0.1), hop)
        assert failed.value.reason == ("connect" if step in STEPS[:2] else "timeout")
        assert failed.value.reply.transient


@pytest.mark.parametrize("step", STEPS[:2])
@pytest.mark.parametrize("how", [HANG_UP, "554 5.7.1 go away", "421 4.3.2 busy", "450 4.0.0 no", b""])
async def test_a_next_hop_that_does_not_let_us_in_is_unreachable(deliver, step, how):
    async with NextHop(replies={step: how, "HELO": how}) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await passage_to(deliver(connect_timeout=0.2), hop).ask(ANN)
        assert (failed.value.reason, str(failed.value.reply)[:9]) == ("connect", "451 4.4.1")
        assert "5.7.1" not in str(failed.value.reply)


async def test_nobody_listens(deliver):
    async with NextHop() as hop:
        pass
    with pytest.raises(NextHopFailed) as failed:
        await passage_to(deliver(), hop).ask(ANN)
    assert (failed.value.reason, failed.value.reply.code) == ("connect", 451)


async def test_who_is_cancelled_takes_nothing_along(deliver):
    stall = Stall()
    async with NextHop(replies={"RCPT": [stall, None]}) as hop:
        delivery = deliver(connections=1)
        task = asyncio.create_task(passage_to(delivery, hop).ask(ANN))
        waiting = asyncio.create_task(passage_to(delivery, hop).ask(ANN))
        await stall.reached.wait()
        task.cancel()
        assert (await waiting).code == 250
        assert hop.connections == 2
        assert "1 of 1 open" in delivery.status()[0]


@pytest.mark.parametrize("features", WAYS.values(), ids=WAYS)
async def test_what_is_not_wanted_any_more_never_begins(deliver, features):
    async with NextHop(features) as hop:
        delivery = deliver()
        passage = passage_to(delivery, hop)
        await passage.ask(ANN)
        with pytest.raises(Abandoned):
            await passage.hand_over(lambda: iter([BODY]), len(BODY), bare=False, wanted=lambda: False)
        assert not passage.begun
        assert (await send(delivery, hop)).code == 250
        assert len(hop.messages) == 1


async def test_an_ehlo_refused_for_the_moment_is_no_reason_to_do_without(deliver):
    """HELO would make a next hop without 8BITMIME of it, and the sender would hear 5yz."""
    async with NextHop(replies={"EHLO": "550 5.3.2 overloaded"}) as hop:
        with pytest.raises(NextHopFailed) as failed:
            await passage_to(deliver(), hop, Envelope("sender@example.net", body="8BITMIME")).ask(ANN)
        assert failed.value.reply.transient
