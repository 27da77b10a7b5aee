"""Any executable: the message on its standard input, facts in its environment, its answer by exit code or as JSON.

`answer = "exit"`: 0 clean, 10 a note, 11 suspicious, 12 spam, 13 malicious, 20 could not look at all of it; the first
line of its output is the detail. `answer = "json"`: it exits with 0, and its output is one `outside.Answer`. Anything
else is a failure, whose reason is the last line of its standard error. `answers.md` tells it all to who writes one.

It leads a process group of its own, which is killed when it has ended, when it is late, and when it says too much.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Annotated, Any, Literal

from pydantic import AfterValidator, Field

from verdicts import outside
from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.mail import Content, Mail

_RECIPIENTS = 100  # Linux takes 128 KiB in one variable, and a character may have 4 bytes
_COMPLAINT_BYTES = 2_000
_UNSCANNED = 20
_SEVERITIES = {10: Severity.NOTE, 11: Severity.SUSPICIOUS, 12: Severity.SPAM, 13: Severity.MALICIOUS}
_PIECE = 65_536

Process = Popen[bytes]


def _executable(command: list[str]) -> list[str]:
    program = command[0] if command else ""
    if not program.startswith("/"):
        raise ValueError(f"must begin with the absolute path of an executable, and not with {program!r}")
    if not (Path(program).is_file() and os.access(program, os.X_OK)):
        raise ValueError(f"{program} is no file that may be executed")
    if any("\0" in argument for argument in command):
        raise ValueError("an argument cannot hold a NUL character")
    return command


class Command(Engine):
    """Runs an executable for each message."""

    class Options(EngineOptions):
        """[engines.command]."""

        command: Annotated[list[str], AfterValidator(_executable)]
        """The executable's absolute path, and its arguments. No shell reads them."""
        answer: Literal["exit", "json"]
        """How it answers: by its exit code, or by JSON on its standard output."""
        at_once: int | None = Field(20, ge=1)
        """Processes that a worker may have at a time."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._command = options.command
        self._read = _by_json if options.answer == "json" else _by_exit_code

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when the command cannot be run or breaks, ValueError when its answer makes no sense."""
        async with _running(self._command, _environment(mail)) as (process, end):
            output, complaint, _, _ = await _all_of(
                _output(process.stdout),
                _last_line(process.stderr),
                _tell(process.stdin, mail.content),
                _over(process, end),
            )
        return self._read(process.returncode, output, complaint)


@asynccontextmanager
async def _running(command: Sequence[str], environment: dict[str, str]) -> AsyncIterator[tuple[Process, int]]:
    """The command, for as long as the block lasts at most, and a descriptor that is readable when it has ended.

    Not by the event loop, which forks: the more memory we have, the longer that takes.
    """
    with Popen(  # noqa: ASYNC220, S603 - it takes a millisecond; it is the operator's choice
        command, stdin=PIPE, stdout=PIPE, stderr=PIPE, bufsize=0, env=environment, cwd="/", start_new_session=True
    ) as process:
        end = -1
        try:
            end = os.pidfd_open(process.pid)
            yield process, end
        finally:
            _kill(process)
            if end >= 0:
                await _ready(end)
                os.close(end)


def _kill(process: Process) -> None:
    """Kill its process group. It is not asked for its exit code before, so that its number is nobody else's."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)


async def _all_of(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """What they return; when one raises, the others are cancelled."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _over(process: Process, end: int) -> None:
    """Wait for its end; whom it leaves behind would keep its output open."""
    await _ready(end)
    _kill(process)


async def _tell(pipe: IO[bytes] | None, content: Content) -> None:
    """Write the message, as far as it is read: it may answer without."""
    with suppress(BrokenPipeError), _nonblocking(pipe) as descriptor:
        for piece in content.pieces():
            rest = memoryview(piece)
            while rest:
                await _ready(descriptor, to_write=True)
                rest = rest[os.write(descriptor, rest) :]


async def _output(pipe: IO[bytes] | None) -> bytes:
    """All that it says. Raises ValueError when that is too much."""
    said = bytearray()
    with _nonblocking(pipe) as descriptor:
        while piece := await _piece(descriptor):
            said += piece
            if len(said) > outside.ANSWER_BYTES:
                raise ValueError(f"the command's output is longer than {outside.ANSWER_BYTES} bytes")
    return bytes(said)


async def _last_line(pipe: IO[bytes] | None) -> str:
    """The last line that is not empty, of its standard error."""
    last = b""
    with _nonblocking(pipe) as descriptor:
        while piece := await _piece(descriptor):
            last = (last + piece)[-_COMPLAINT_BYTES:]
    lines = map(outside.clean, last.decode("utf-8", "replace").split("\n"))
    return next((line for line in reversed(list(lines)) if line.strip()), "")


async def _piece(descriptor: int) -> bytes:
    """What can be read next; empty at the end."""
    await _ready(descriptor)
    return os.read(descriptor, _PIECE)


@contextmanager
def _nonblocking(pipe: IO[bytes] | None) -> Iterator[int]:
    """Its descriptor, until it is closed at the end of the block."""
    assert pipe is not None
    with pipe:
        os.set_blocking(pipe.fileno(), False)
        yield pipe.fileno()


async def _ready(descriptor: int, *, to_write: bool = False) -> None:
    """Wait until it can be read, or written to."""
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    add, remove = (loop.add_writer, loop.remove_writer) if to_write else (loop.add_reader, loop.remove_reader)
    add(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        remove(descriptor)


def _environment(mail: Mail) -> dict[str, str]:
    """What the command is told, and of our own environment only where programs are and what language we speak."""
    inherited = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    told = {f"SLUICE_{name.upper()}": str(value) for name, value in outside.facts(mail).items()}
    addresses = "\n".join(outside.recipients(mail, _RECIPIENTS))
    count = str(len(mail.envelope.recipients))
    return {**inherited, **told, "SLUICE_RECIPIENTS": addresses, "SLUICE_RECIPIENT_COUNT": count}


def _by_exit_code(code: int, output: bytes, complaint: str) -> list[Finding]:
    first = outside.clean(output[:_COMPLAINT_BYTES].decode("utf-8", "replace").partition("\n")[0])
    if code == 0:
        return []
    if code == _UNSCANNED:
        raise Unscanned(first or "the command could not look at all of the message")
    if code not in _SEVERITIES:
        raise _broken(code, complaint)
    severity = _SEVERITIES[code]
    return [Finding(f"COMMAND_{severity.name}", severity, detail=first)]


def _by_json(code: int, output: bytes, complaint: str) -> list[Finding]:
    if code != 0:
        raise _broken(code, complaint)
    return outside.findings_of(output)


def _broken(code: int, complaint: str) -> OSError:
    return ChildProcessError(f"the command ended with {code}{complaint and ': '}{complaint}")
