import asyncio
import email
import socket
import subprocess
import threading
import time

import pytest

from verdicts.contract import Engine, EngineOptions, Finding, HttpReply, Unscanned
from verdicts.kit import (
    MALFORMED,
    BytesContent,
    PretendClock,
    PretendDns,
    PretendHttp,
    assert_contract,
    contract_faults,
    letter,
    mail_of,
    pretend_tools,
)  # fmt: skip


class Good(Engine):
    async def judge(self, mail):
        await asyncio.sleep(0)
        return [Finding("SIZE", weight=float(mail.content.size))]


class Blocks(Good):
    async def judge(self, mail):
        time.sleep(0.06)
        return []


class GoesOn(Good):
    async def judge(self, mail):
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            return []
        return []


class Raises(Good):
    async def judge(self, mail):
        mail.fields.text("Subject").encode("ascii")
        return []


class Wrong(Good):
    async def judge(self, mail):
        return ["spam"]


class Silent(Good):
    async def judge(self, mail):
        raise Unscanned("")


class ClosesBadly(Good):
    async def close(self):
        raise OSError("no")


class Computes(Good):
    """Only where there is much to look at."""

    async def judge(self, mail):
        end = time.thread_time() + (0.06 if mail.content.size > 5_000_000 else 0)
        while time.thread_time() < end:
            pass
        return []


class Leaves(Good):
    """What `open_` opens."""

    def __init__(self, options, tools):
        super().__init__(options, tools)
        self.left = None

    async def judge(self, mail):
        self.left = self.left or self.open_()
        return []


class LeavesATask(Leaves):
    def open_(self):
        return asyncio.create_task(asyncio.sleep(60), name="left")


class LeavesAThread(Leaves):
    def open_(self):
        self.end = threading.Event()
        thread = threading.Thread(target=self.end.wait, name="left")
        thread.start()
        return thread


class LeavesASocket(Leaves):
    def open_(self):
        return socket.socket()


class LeavesAProcess(Leaves):
    def open_(self):
        return subprocess.Popen(["sleep", "60"])


@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        (LeavesATask, "leaves behind after close(): task left"),
        (LeavesAThread, "leaves behind after close(): thread left"),
        (LeavesASocket, "leaves behind after close(): file "),
        (LeavesAProcess, "leaves behind after close(): process "),
    ],
)
async def test_what_is_left_behind_is_found(engine, fault):
    made = []
    faults = await contract_faults(lambda: made.append(engine(EngineOptions(), pretend_tools())) or made[0])
    left = made[0].left
    for end in ("cancel", "close", "kill"):
        getattr(left, end, lambda: None)()
    if engine is LeavesAProcess:
        left.wait()
    if engine is LeavesAThread:
        made[0].end.set()
        left.join()
    assert [found for found in faults if found.startswith(fault)], faults


@pytest.mark.parametrize(
    ("engine", "fault"),
    [
        (Computes, "on a large letter: computes for "),
        (Blocks, "blocks the event loop for"),
        (GoesOn, "goes on after it was cancelled"),
        (Raises, "on not UTF-8: UnicodeEncodeError"),
        (Wrong, "on a normal letter: TypeError('returned str"),
        (Silent, "on a normal letter: raises Unscanned without a reason"),
        (ClosesBadly, "close() raises OSError"),
    ],
)
async def test_each_fault_is_found(engine, fault):
    faults = await contract_faults(lambda: engine(EngineOptions(), pretend_tools()))
    assert any(found.startswith(fault) for found in faults), faults
    with pytest.raises(AssertionError):
        await assert_contract(lambda: engine(EngineOptions(), pretend_tools()))


async def test_a_good_engine_has_no_faults():
    assert await contract_faults(lambda: Good(EngineOptions(), pretend_tools())) == []


def test_a_letter_is_a_letter():
    message = letter("hällo\r\n", subject="s", headers=[("X-A", "b")], attachments=[("ü.txt", b"\0\1")])
    assert message.startswith(b"X-A: b\r\n")
    assert b"\n" not in message.replace(b"\r\n", b"")
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    text, attachment = parsed.iter_parts()
    assert (parsed["Subject"], text.get_content(), attachment.get_filename()) == ("s", "hällo\r\n", "ü.txt")


def test_content_in_pieces():
    content = BytesContent(bytes(200_000))
    assert [len(piece) for piece in content.pieces()] == [65_536, 65_536, 65_536, 3_392]
    assert (content.size, len(content.view())) == (200_000, 200_000)


async def test_mail_is_parsed_once():
    mail = mail_of(letter(headers=[("X-Forefront-Antispam-Report", "CIP:192.0.2.1;")]))
    assert mail.fields is mail.fields
    assert mail.origin.address == "192.0.2.1"
    both = await asyncio.gather(mail.read_structure(), mail.read_structure())
    assert both[0] is both[1] is mail.structure
    assert mail.parts is mail.structure.parts


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED.keys())
async def test_two_readers_of_a_malformed_structure_agree(content):
    mail, other = mail_of(content), mail_of(content)
    both = await asyncio.gather(mail.read_structure(), mail.read_structure())
    assert both[0] is both[1]
    assert [(p.start, p.end) for p in both[0].parts] == [(p.start, p.end) for p in other.parts]


async def test_pretend_tools():
    dns = PretendDns({"a": ["x", "y"]}, {"a": OSError("no answer")})
    assert (await dns.txt("a"), await dns.txt("b")) == (("x", "y"), ())
    with pytest.raises(OSError, match="no answer"):
        await dns.addresses("a")
    http = PretendHttp(HttpReply(200, b"12345"))
    assert (await http.post("u", headers=[("a", "b")], body=[b"1", b"2"])).body == b"12345"
    with pytest.raises(OSError, match="larger than 4"):
        await http.post("u", headers=[], body=[], limit=4)
    assert http.requests[0].body == b"12"
    clock = PretendClock(5.0)
    clock.now += 1
    assert clock.time() == clock.monotonic() == 6.0
