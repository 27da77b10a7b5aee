"""Debian's bind9 with zones written here, on a port of 127.0.0.1."""

import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from doubles.need import need
from doubles.processes import listens, server


@contextmanager
def real_named(folder: Path, zones: Mapping[str, str]) -> Iterator[str]:
    """Its address; `zones` are master files by name. It refuses what is in none of them."""
    program, port = need("named"), _free_port()
    named = "".join(f'zone "{name}" {{ type primary; file "{name}.zone"; }};' for name in zones)
    for name, text in zones.items():
        (folder / f"{name}.zone").write_text(
            f"$TTL 300\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n{text}\n"
        )
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        f" pid-file none; session-keyfile none; recursion no; dnssec-validation no; querylog yes; }};"
        f" controls {{ }}; {named}"
    )
    command = [program, "-g", "-n", "1", "-c", str(folder / "named.conf")]
    with server(command, folder / "named.log", lambda: listens(port)):
        yield f"127.0.0.1:{port}"


def questions(folder: Path) -> list[str]:
    """The names that it was asked for so far, in order; `folder` is the one that it was given."""
    return re.findall(r" query: (\S+) IN ", (folder / "named.log").read_text())


def txt(name: str, text: str) -> str:
    """A TXT record as a line of a zone."""
    return f"{name} IN TXT {master_text(text)}\n"


def master_text(text: str) -> str:
    """A TXT record's data in strings of 255 characters."""
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))


def _free_port() -> int:
    """One that is free for UDP and for TCP: long answers come by TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as datagrams, socket.socket() as stream, suppress(OSError):
            datagrams.bind(("127.0.0.1", 0))
            stream.bind(datagrams.getsockname())
            return int(stream.getsockname()[1])
