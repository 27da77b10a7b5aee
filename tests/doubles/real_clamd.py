"""A real clamd with a signature file written here, on a port of 127.0.0.1 and on a socket in a folder.

It knows EICAR (as Sluice.Test.EICAR.UNOFFICIAL) and SIGNED_TEXT, tells encrypted archives, takes streams of up to
STREAM_BYTES and looks into files of up to FILE_BYTES, unless it is told otherwise.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from doubles.processes import free_port, listens, server

EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNED_TEXT = b"the sluice test signature matches this line"
STREAM_BYTES = 2_000_000
FILE_BYTES = 1_000_000

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
_CONFIGURATION = """
Foreground yes
TCPSocket {port}
TCPAddr 127.0.0.1
LocalSocket {folder}/clamd.sock
DatabaseDirectory {folder}/signatures
TemporaryDirectory {folder}
StreamMaxLength {stream}
MaxFileSize {file}
AlertExceedsMax yes
AlertEncrypted yes
Bytecode no
"""


@dataclass(frozen=True)
class RealClamd:
    """Where it answers, and its process (`processes.frozen` makes it hang)."""

    address: str
    socket: str
    process: subprocess.Popen[bytes]


def missing() -> str:
    """What is not installed; empty when all is there."""
    return "" if shutil.which("clamd", path=_PATH) else "clamd"


@contextmanager
def real_clamd(folder: Path, stream: int = STREAM_BYTES, file: int = FILE_BYTES) -> Iterator[RealClamd]:
    """Started in the empty `folder`, stopped at the end. `stream` and `file`: bytes of the largest ones it takes."""
    port = free_port()
    configuration = folder / "clamd.conf"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port, stream=stream, file=file))
    signatures = folder / "signatures"
    signatures.mkdir()
    (signatures / "test.ndb").write_text(
        f"Sluice.Test.EICAR:0:*:{EICAR.hex()}\nSluice.Test.Text:0:*:{SIGNED_TEXT.hex()}\n"
    )
    command = [shutil.which("clamd", path=_PATH) or "clamd", "-c", str(configuration)]
    with server(command, folder / "clamd.log", lambda: listens(port)) as process:
        yield RealClamd(f"127.0.0.1:{port}", str(folder / "clamd.sock"), process)
