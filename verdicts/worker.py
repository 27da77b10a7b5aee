"""What the processes of `workers.py` run.

It digests files that may be made to break it. It is held by rlimits, dies with its parent, has no open file but the
socket to it, and answers in JSON: what unpickles must not be fed by a process that a file may have taken over.
"""

import ctypes
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
from io import BufferedReader
from math import ceil
from typing import Any, NamedTuple

import orjson

LENGTH_BYTES = 4
RESULT, ERROR = "result", "error"
MEMORY_EXIT = 3
"""Its exit code when there was too little memory: what is left of it is in no good order."""

_ERROR_CHARACTERS = 200
_OPEN_FILES = 64
_SPARE_CPU_SECONDS = 2
_PR_SET_PDEATHSIG = 1  # prctl(2)
_PR_SET_NO_NEW_PRIVS = 38


class Request(NamedTuple):
    """What comes before a run's pickle and buffers: `call` is the pickle's length, `buffers` those of the buffers."""

    seconds: float
    call: int
    buffers: tuple[int, ...]


class Apart(NamedTuple):
    """Stands in the pickle for bytes that come after it."""

    place: int


def prepare(module: str) -> None:
    """Import what later runs need, so that their seconds are their own."""
    importlib.import_module(module)


def main() -> None:
    """Serve runs until the parent closes its end of the socket. Arguments: descriptor, bytes of memory, parent's id."""
    descriptor, memory, parent = map(int, sys.argv[1:])
    _confine(memory, parent)
    with socket.socket(fileno=descriptor) as pipe, pipe.makefile("rb") as stream:
        while preface := stream.read(LENGTH_BYTES):
            request = Request(*pickle.loads(_read(stream, int.from_bytes(preface, "big"))))  # noqa: S301 - our parent's
            answer = _run(request, stream)
            pipe.sendall(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)


def _confine(memory: int, parent: int) -> None:
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked to be told
        sys.exit()
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        _limit(limit, value)


def _limit(what: int, value: int) -> None:
    """No looser than our parent is held, as only root may loosen that."""
    hardest = resource.getrlimit(what)[1]
    tighter = value if hardest == resource.RLIM_INFINITY else min(value, hardest)
    resource.setrlimit(what, (tighter, tighter))


def _read(stream: BufferedReader, size: int) -> bytes:
    received = stream.read(size)
    if len(received) < size:  # our parent hung up
        sys.exit()
    return received


def _run(request: Request, stream: BufferedReader) -> bytes:
    _limit_cpu(request.seconds)
    try:
        call = _read(stream, request.call)
        buffers = [_read(stream, size) for size in request.buffers]
        place, arguments = pickle.loads(call)  # noqa: S301 - our parent's
        module, _, name = place.partition(":")
        function = getattr(importlib.import_module(module), name)
        return _packed(RESULT, function(*(_put_back(argument, buffers) for argument in arguments)))
    except MemoryError:
        os._exit(MEMORY_EXIT)
    except Exception as error:  # noqa: BLE001 - the parent is told
        return _packed(ERROR, _short(error))


def _put_back(argument: Any, buffers: list[bytes]) -> Any:
    if isinstance(argument, Apart):
        return buffers[argument.place]
    if isinstance(argument, list) and argument and isinstance(argument[0], Apart):
        return [buffers[apart.place] for apart in argument]
    return argument


def _packed(kind: str, value: Any) -> bytes:
    return orjson.dumps([kind, value], default=_plain, option=orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | set | frozenset):  # a NamedTuple, too
        return list(value)
    raise TypeError(f"{type(value).__name__} is not plain data")


def _short(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS]
    return text.encode("utf-8", "replace").decode()  # JSON has no lone surrogates


def _limit_cpu(seconds: float) -> None:
    """The kernel ends what runs on when nobody is left to kill us."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = ceil(used.ru_utime + used.ru_stime + seconds) + _SPARE_CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
