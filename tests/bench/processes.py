"""Processes: starting and ending them, their CPU time and memory, from /proc (Linux)."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])


def end_in_order():
    """Let SIGTERM end this program like Ctrl-C: with everything that it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))


def tool(name):
    found = shutil.which(name, path=PATH)
    if found is None:
        sys.exit(f"bench: {name} is missing; Debian's package postfix has it")
    return found


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def running(command, port, log, cores=None):
    """`command` while it runs, once it says 220 on `port`; all that it started ends with it."""
    with log.open("wb") as file:
        process = subprocess.Popen([*on(cores), *command], stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for_banner(process, port, log)
        yield process
    finally:
        end(process)


def end(process):
    """End it and all that it started; what is still there after three seconds is killed."""
    pids = tree(process.pid)  # and not its process group: Postfix's master makes one of its own
    for number, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        until = time.monotonic() + seconds
        while pids and time.monotonic() < until:
            process.poll()
            pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
            time.sleep(0.02)


def on(cores):
    """What stands before a command that shall run on these cores alone ("0", "1-3")."""
    return ["taskset", "-c", cores] if cores else []


def wait_for_banner(process, port, log):
    for _ in range(400):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as sock:
            if sock.recv(64).startswith(b"220"):
                sock.sendall(b"QUIT\r\n")
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    sys.exit(f"bench: {process.args} does not answer:\n{log.read_text()}")


def _stat(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def tree(root):
    """`root` and all that it started, children of children included."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            children.setdefault(int(_stat(name)[1]), []).append(int(name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def cpu_seconds(*roots):
    """User and system time of the trees by process; what children that ended have used is their parent's."""
    used = {}
    for pid in {pid for root in roots for pid in tree(root)}:
        with contextlib.suppress(OSError):
            used[pid] = sum(map(int, _stat(pid)[11:15])) / TICK
    return used


def anonymous_bytes(root):
    """RssAnon of the largest process of the tree: its own memory, without files, programs and shared pages."""
    return max((_status(pid, "RssAnon") * 1024 for pid in tree(root)), default=0)


def _status(pid, key):
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1])
    return 0


def resources(root):
    """What must be as before when the load is gone: memory, descriptors, threads of the tree."""
    pids = tree(root)
    descriptors = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return {
        "anonymous_mib": round(anonymous_bytes(root) / 1_048_576, 1),
        "descriptors": descriptors,
        "threads": sum(_status(pid, "Threads") for pid in pids),
    }


class Sampler(threading.Thread):
    """Calls `look` every `every` seconds and keeps (seconds since the start, what it returned)."""

    def __init__(self, look, every):
        super().__init__(daemon=True)
        self.samples = []
        self._look, self._every, self._end, self._start = look, every, threading.Event(), time.perf_counter()

    def run(self):
        while not self._end.wait(self._every):
            self.samples.append((round(time.perf_counter() - self._start, 2), self._look()))

    def seconds(self):
        return round(time.perf_counter() - self._start, 2)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self.join()
