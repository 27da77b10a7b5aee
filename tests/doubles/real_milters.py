"""Real milters on sockets in a folder: opendkim, which verifies, and clamav-milter over a real clamd."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doubles.need import need
from doubles.processes import free_port, listens, server
from doubles.real_clamd import RealClamd

_OPENDKIM = """
Mode v
Syslog no
Background no
Socket {socket}
PidFile {folder}/opendkim.pid
AuthservID mx.test
AlwaysAddARHeader yes
TestPublicKeys {folder}/keys
UMask 000
"""
_CLAMAV = """
Foreground yes
MilterSocket {socket}
ClamdSocket unix:{clamd}
OnClean Accept
OnInfected {infected}
OnFail Defer
AddHeader Replace
TemporaryDirectory {folder}
LogFile {folder}/log
LogInfected Full
LocalNet {trusted}
"""


@dataclass(frozen=True)
class RealMilter:
    """Where it answers, and its process (`processes.frozen` makes it hang)."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def real_opendkim(folder: Path, keys: str = "") -> Iterator[RealMilter]:
    """By TCP. `keys`: lines of "selector._domainkey.domain v=DKIM1; ...", which stand in for DNS."""
    port = free_port()
    (folder / "keys").write_text(keys)
    configuration = folder / "opendkim.conf"
    configuration.write_text(_OPENDKIM.format(folder=folder, socket=f"inet:{port}@127.0.0.1"))
    command = [need("opendkim"), "-f", "-x", str(configuration)]
    with server(command, folder / "opendkim.log", lambda: listens(port)) as process:
        yield RealMilter(f"127.0.0.1:{port}", process)


@contextmanager
def real_clamav_milter(folder: Path, clamd: RealClamd, infected: str, trusted: str) -> Iterator[RealMilter]:
    """By a Unix socket. `infected`: what it does with viruses (OnInfected); `trusted`: a network it does not scan."""
    path = folder / "milter.sock"
    configuration = folder / "clamav-milter.conf"
    configuration.write_text(
        _CLAMAV.format(folder=folder, socket=path, clamd=clamd.socket, infected=infected, trusted=trusted)
    )
    command = [need("clamav-milter"), "-c", str(configuration)]
    with server(command, folder / "clamav-milter.log", path.is_socket) as process:
        yield RealMilter(str(path), process)
