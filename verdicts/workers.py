"""Processes that may be killed, for work on hostile files: it may hang, eat memory or crash, and the relay goes on.

    workers = Workers(count=2, memory=512_000_000)
    try:
        found = await workers.run(inspect, data, seconds=5)
    except Unfinished as unfinished:
        raise Unscanned(str(unfinished))

`function` is a module's, or its name as "module:function" where importing the module here would cost memory or time;
`arguments` are pickled; bytes, and lists of bytes, go as they are, in pieces, and arrive as
bytes. What it returns must be plain data, and arrives as JSON has it: a tuple is a list. State that shall outlive a run
(compiled rules) is made in the worker, by `functools.lru_cache` in the function's module.
"""

import asyncio
import importlib.util
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from verdicts.worker import LENGTH_BYTES, MEMORY_EXIT, RESULT, Apart, Request, prepare

RESULT_BYTES = 1_000_000
"""The most that a run may return, as JSON."""
_PROGRAM = "from verdicts.worker import main; main()"
_START_SECONDS = 60.0
_RECEIVED_BYTES = 65_536
_ERROR_CHARACTERS = 300
_BYTES = (bytes, bytearray, memoryview)


class Unfinished(Exception):
    """A run that came to nothing; the text says why and is fit for `Unscanned`."""


class Workers:
    """At most `count` processes of at most `memory` bytes of address space each (a Python with libraries takes 200 MB).

    They are started when they are needed, used again, and replaced after `runs`, so that nothing a library leaks adds
    up; a file that takes a process over can lie about the files that come after it, until then. A run beyond `count`
    waits for its turn; waiting, and starting a process, do not count in its seconds: only `asyncio.timeout` around it,
    or the engine's deadline, ends waiting.
    """

    def __init__(self, count: int, memory: int, runs: int = 200) -> None:
        self._memory = memory
        self._runs = runs
        self._turns = asyncio.Semaphore(count)
        self._alive: set[_Worker] = set()
        self._idle: list[_Worker] = []
        self._killed: list[subprocess.Popen[bytes]] = []
        self._closed = False

    async def run(self, function: Callable[..., Any] | str, *arguments: Any, seconds: float) -> Any:
        """What `function(*arguments)` returns, called in a process of its own.

        Raises `Unfinished` when it took more than `seconds` or too much memory, died or returned too much; the process
        is gone then, as it is when this is cancelled. Raises RuntimeError with what the function raised,
        OSError when no process can be started.
        """
        call = _Call(function, arguments, seconds)
        self._bury()
        async with self._turns:
            worker = self._free()
            try:
                await worker.know(call.module)
                answer = await worker.ask(call)
                worker.runs += 1
            except BaseException:
                self._end(worker)
                raise
            self._keep_or_end(worker)
        return _value(answer)

    async def close(self) -> None:
        """Kill all of them; who still waits for one gets `Unfinished`."""
        self._closed = True
        processes = [worker.process for worker in self._alive]
        for process in processes:
            process.kill()
        for worker in tuple(self._idle):
            self._end(worker)
        for process in (*processes, *self._killed):
            await asyncio.get_running_loop().run_in_executor(None, process.wait)
        self._killed.clear()

    def _free(self) -> "_Worker":
        while self._idle:
            worker = self._idle.pop()
            if worker.process.poll() is None:
                return worker
            self._end(worker)  # someone else killed it
        if self._closed:
            raise Unfinished("the workers are closed")
        worker = _Worker(self._memory)
        self._alive.add(worker)
        return worker

    def _keep_or_end(self, worker: "_Worker") -> None:
        if worker.runs < self._runs and not self._closed:
            self._idle.append(worker)
        else:
            self._end(worker)

    def _end(self, worker: "_Worker") -> None:
        """Killed at once; the system is asked later whether it is gone, as that may take the time of freeing memory.

        Only who uses its socket may call this.
        """
        worker.kill()
        self._killed.append(worker.process)
        self._bury()
        self._alive.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)

    def _bury(self) -> None:
        """Ask the system whether those that were killed are gone: until then they are zombies."""
        if self._killed:
            self._killed = [process for process in self._killed if process.poll() is None]


class _Call:
    """A run as it goes over the socket: preface and pickle, then the bytes among the arguments, without a copy."""

    def __init__(self, function: Callable[..., Any] | str, arguments: tuple[Any, ...], seconds: float) -> None:
        place = function if isinstance(function, str) else f"{function.__module__}:{function.__qualname__}"
        self.module = place.partition(":")[0]
        self.seconds = seconds
        self.buffers: list[memoryview] = []
        call = pickle.dumps((place, [self._apart(argument) for argument in arguments]))
        preface = pickle.dumps(tuple(Request(seconds, len(call), tuple(buffer.nbytes for buffer in self.buffers))))
        self.head = len(preface).to_bytes(LENGTH_BYTES, "big") + preface + call

    def _apart(self, argument: Any) -> Any:
        """What stands for it in the pickle. Not by pickle's own buffers: they have crashed the collector of 3.11."""
        if isinstance(argument, _BYTES):
            self.buffers.append(memoryview(argument).cast("B"))
            return Apart(len(self.buffers) - 1)
        if isinstance(argument, list) and argument and all(isinstance(piece, _BYTES) for piece in argument):
            return [self._apart(piece) for piece in argument]
        return argument


class _Worker:
    """One process and our end of the socket to it."""

    def __init__(self, memory: int) -> None:
        self.runs = 0
        self._known: set[str] = set()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            arguments = map(str, (theirs.fileno(), memory, os.getpid()))
            try:
                self.process = _started([sys.executable, "-P", "-B", "-c", _PROGRAM, *arguments], theirs.fileno())
            except OSError:
                self._socket.close()
                raise

    async def know(self, module: str) -> None:
        """Have it import `module`, for which it is given a minute: a machine may be busy, and libraries are large."""
        if module not in self._known:
            answer = await self.ask(_Call(prepare, (module,), _START_SECONDS))
            _value(answer)
            self._known.add(module)

    async def ask(self, call: _Call) -> list[Any]:
        """Its answer: what kind of one, and the value. Raises `Unfinished`."""
        try:
            async with asyncio.timeout(call.seconds):
                return _answer(await self._exchange(call))
        except TimeoutError:
            raise Unfinished(f"took more than {call.seconds:g} seconds") from None
        except OSError:
            raise Unfinished(await self._last_words()) from None

    async def _exchange(self, call: _Call) -> bytes:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, call.head)
        for buffer in call.buffers:
            await loop.sock_sendall(self._socket, buffer)
        size = int.from_bytes(await self._receive(LENGTH_BYTES), "big")
        if size > RESULT_BYTES:
            raise Unfinished(f"returned more than {RESULT_BYTES} bytes")
        return await self._receive(size)

    async def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            wanted = min(size - len(received), _RECEIVED_BYTES)
            piece = await asyncio.get_running_loop().sock_recv(self._socket, wanted)
            if not piece:
                raise ConnectionError
            received += piece
        return bytes(received)

    async def _last_words(self) -> str:
        """How it died: it has hung up, and so is dead or about to be."""
        self.process.send_signal(signal.SIGKILL)
        code = await asyncio.get_running_loop().run_in_executor(None, self.process.wait)
        if code == MEMORY_EXIT:
            return "took too much memory"
        return f"its process died of {signal.Signals(-code).name}" if code < 0 else "its process ended early"

    def kill(self) -> None:
        self._socket.close()
        self.process.kill()


def _started(command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own program
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[descriptor],
        env=_environment(),
        cwd="/",
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Nothing of ours, which may hold secrets, but where the modules are."""
    ours = importlib.util.find_spec("verdicts")
    root = [str(Path(ours.origin).parent.parent)] if ours and ours.origin else []
    return {"PYTHONPATH": os.pathsep.join([*root, *filter(None, sys.path)]), "LANG": "C.UTF-8", "MALLOC_ARENA_MAX": "1"}


def _answer(received: bytes) -> list[Any]:
    try:
        kind, value = orjson.loads(received)
    except (TypeError, ValueError):  # no JSON, or none of ours
        raise Unfinished("returned nonsense") from None
    return [kind, value]


def _value(answer: list[Any]) -> Any:
    kind, value = answer
    if kind == RESULT:
        return value
    raise RuntimeError(str(value)[:_ERROR_CHARACTERS])
