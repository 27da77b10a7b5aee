"""Debian's bind9, serving zones of a test's own on loopback, and refusing all else."""

import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from doubles.need import need

_HEAD = "$TTL 60\n@ IN SOA ns. host. 1 60 60 60 60\n@ IN NS ns.\n"


def txt(name: str, text: str) -> str:
    """A TXT record as a line of a zone; a string of it has at most 255 characters (RFC 1035 section 3.3)."""
    strings = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
    return f"{name} IN TXT {strings}\n"


@contextmanager
def real_named(folder: Path, zones: Mapping[str, str]) -> Iterator[str]:
    """HOST:PORT of a name server; `zones` have their records, one a line, by the zone's name."""
    program, port = need("named"), _free_port()
    for zone, records in zones.items():
        (folder / zone).write_text(_HEAD + records)
    served = "".join(f'zone "{zone}" {{ type primary; file "{zone}"; }};' for zone in zones)
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        f" pid-file none; session-keyfile none; recursion no; dnssec-validation no; }}; controls {{ }}; {served}"
    )
    command = [program, "-g", "-n", "1", "-c", str(folder / "named.conf")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told: list[str] = []
        for line in process.stderr:
            told.append(line)
            if line.rstrip().endswith(" running"):
                break
        else:
            pytest.fail("".join(told))
        drain = threading.Thread(target=process.stderr.read)
        drain.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            process.kill()
            drain.join()


def _free_port() -> int:
    """One that is free for UDP and for TCP: long answers come by TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as stream, suppress(OSError):
            datagrams.bind(("127.0.0.1", 0))
            stream.bind(datagrams.getsockname())
            return stream.getsockname()[1]
