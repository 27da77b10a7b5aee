"""A real spamd with the distribution's rules and some of its own, without DNS, on a port of 127.0.0.1 and on a socket.

SLUICE_FACTS is found where SpamAssassin takes helo.sender.example, 203.0.113.9, for the host that handed the message
over, and ann@sender.example for its sender; SLUICE_SIX the same for 2001:db8::9.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from doubles.need import need
from doubles.processes import free_port, server

_RULES = r"""
use_bayes 0
use_auto_welcomelist 0
dns_available no
header __SLUICE_HOST X-Spam-Relays-External =~ /^\[ ip=203\.0\.113\.9 rdns=mail\.sender\.example helo=helo\.sender\./
header __SLUICE_SIX X-Spam-Relays-External =~ /^\[ ip=2001:db8::9 rdns= helo=helo\.sender\./
header __SLUICE_SENDER EnvelopeFrom =~ /^ann\@sender\.example$/
header SLUICE_BOUNCE EnvelopeFrom =~ /^$/
meta SLUICE_FACTS __SLUICE_HOST && __SLUICE_SENDER
meta SLUICE_SIX __SLUICE_SIX && __SLUICE_SENDER
header SLUICE_AUTHENTICATED X-Spam-Relays-External =~ / auth=\S/
body SLUICE_GOOD /the weather is fine/
score SLUICE_FACTS 0.25
score SLUICE_GOOD -7.5
"""


@dataclass(frozen=True)
class RealSpamd:
    """Where it answers, and its process (`processes.frozen` makes it hang)."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def real_spamd(*, unix: bool = False) -> Iterator[RealSpamd]:
    """Started, and stopped at the end; as nobody where the tests run as root."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o777)  # pytest's own folders are closed to nobody
        for plugins in Path("/etc/spamassassin").glob("*.pre"):
            shutil.copy(plugins, folder)
        (folder / "local.cf").write_text(_RULES)
        path, port = folder / "spamd.sock", free_port()
        where = ["--socketpath", str(path)] if unix else ["--listen", "127.0.0.1", "--port", str(port)]
        user = ["--username", "nobody"] if os.getuid() == 0 else []
        command = [
            need("spamd"), "--local", *where, *user, "--nouser-config", "--max-children", "2", "--min-children", "2",
            "--syslog", "stderr", "--siteconfigpath", place, "--pidfile", str(folder / "spamd.pid"),
        ]  # fmt: skip
        with server(command, folder / "spamd.log", lambda: _answers(path if unix else port)) as process:
            yield RealSpamd(str(path) if unix else f"127.0.0.1:{port}", process)


def _answers(place: Path | int) -> bool:
    """Whether it says PONG; it listens long before."""
    with socket.socket(socket.AF_INET if isinstance(place, int) else socket.AF_UNIX) as probe, suppress(OSError):
        probe.settimeout(1)
        probe.connect(("127.0.0.1", place) if isinstance(place, int) else str(place))
        probe.sendall(b"PING SPAMC/1.5\r\n\r\n")
        return b"PONG" in probe.recv(100)
    return False
