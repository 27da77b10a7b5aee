"""What the tests have done in worker processes."""

import ctypes
import functools
import os
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    first: int
    second: str


def give_back(*arguments):
    return list(arguments)


def size_of(data):
    assert isinstance(data, bytes)
    return len(data)


def joined(pieces):
    return b"".join(pieces).decode()


def pair():
    return Pair(1, "x"), {1: {2}}


def who():
    return os.getpid()


def hang():
    while True:
        pass


def hang_on(*_):
    hang()


def sleep_for(seconds):
    time.sleep(seconds)


def eat():
    return len([bytes(50_000_000) for _ in range(1_000)])


def eat_in_c():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    return bool(libc.malloc(ctypes.c_size_t(2_000_000_000)))


def crash():
    ctypes.string_at(0)


def leave():
    os._exit(0)


def raise_it(text):
    raise ValueError(text)


def return_much():
    return "x" * 2_000_000


def return_odd():
    return object()


def return_bad_text():
    return "\ud800"


def write_a_file(path):
    with Path(path).open("wb", 0) as file:
        file.write(b"x" * 100)


def open_files():
    return len([os.open("/dev/null", os.O_RDONLY) for _ in range(100)])


def surroundings():
    return {
        "environment": dict(os.environ),
        "descriptors": [os.readlink(path) for fd in range(64) if os.path.islink(path := f"/proc/self/fd/{fd}")],
        "core": resource.getrlimit(resource.RLIMIT_CORE),
        "parent": os.getppid(),
        "session": os.getsid(0) == os.getpid(),
    }


@functools.lru_cache
def counter():
    return [0]


def count():
    counter()[0] += 1
    return counter()[0]


def talk_nonsense(bytes_as_text):
    """As a process that was taken over would."""
    descriptor = int(sys.argv[1])
    os.write(descriptor, bytes_as_text.encode("latin-1"))
    time.sleep(60)
