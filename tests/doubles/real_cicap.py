"""A real c-icap on a port of 127.0.0.1: its echo service, and virus_scan (as "avscan") over a real clamd.

Both take previews of 1024 bytes, as they do by default.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doubles.need import need
from doubles.processes import free_port, listens, server
from doubles.real_clamd import RealClamd

_CONFIGURATION = """
PidFile {folder}/c-icap.pid
CommandsSocket {folder}/c-icap.ctl
Port 127.0.0.1:{port}
StartServers 1
MaxServers 1
ThreadsPerChild 10
TmpDir {folder}
ServerName icap.test
ServerAdmin nobody@icap.test
DebugLevel 1
ModulesDir {library}
ServicesDir {library}
TemplateDir /usr/share/c_icap/templates/
TemplateDefaultLanguage en
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {folder}/server.log
AccessLog {folder}/access.log
Service echo srv_echo.so
Service antivirus_module virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.MaxObjectSize {largest}
Module common clamd_mod.so
clamd_mod.ClamdSocket {clamd}
"""


@dataclass(frozen=True)
class RealCicap:
    """Where its services begin ("icap://127.0.0.1:1344"), and its process (`processes.frozen` makes it hang)."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def real_cicap(folder: Path, clamd: RealClamd, largest: str = "5M") -> Iterator[RealCicap]:
    """Started in the empty `folder`, stopped at the end. `largest`: what it has scanned at most."""
    command = [need("c-icap"), "-N", "-f", str(folder / "c-icap.conf")]
    library = next(Path("/usr/lib").glob("*/c_icap/virus_scan.so"), None) or Path(need("virus_scan.so"))
    port = free_port()
    (folder / "c-icap.conf").write_text(
        _CONFIGURATION.format(folder=folder, port=port, library=library.parent, clamd=clamd.socket, largest=largest)
    )
    with server(command, folder / "c-icap.log", lambda: listens(port)) as process:
        yield RealCicap(f"icap://127.0.0.1:{port}", process)
