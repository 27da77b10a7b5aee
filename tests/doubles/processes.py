"""Start a real server for tests, wait until it answers, and stop it."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody accepts connections on 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def server(
    command: Sequence[str], log: Path, ready: Callable[[], bool], seconds: float = 30
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command`, its output going to `log`, from when `ready` says yes to the end of the block."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True) as process,
    ):
        try:
            deadline = time.monotonic() + seconds
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start:\n{log.read_text(errors='replace')[-3000:]}")
                time.sleep(0.02)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # it and its workers: they are a group of their own


@contextmanager
def frozen(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop what `server` started, workers included, for the length of the block: it hangs, and its ports are open."""
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)
