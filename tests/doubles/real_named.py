"""Debian's bind9 on a port of 127.0.0.1: with zones written here, or as a resolver."""

import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import dns.query
import dns.rcode
import dns.update
from doubles.need import need
from doubles.processes import listens, server


@contextmanager
def real_named(folder: Path, zones: Mapping[str, str], address: str = "127.0.0.1") -> Iterator[str]:
    """Its address; `zones` are master files by name. It refuses what is in none of them.

    A zone that brings no SOA of its own gets one, and the server at `address` as its only one.
    """
    head = f"@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A {address}\n"
    named = "".join(
        f'zone "{name}" {{ type primary; file "{_file(name)}"; allow-update {{ any; }}; }};' for name in zones
    )
    for name, text in zones.items():
        (folder / _file(name)).write_text(f"$TTL 300\n{'' if ' SOA ' in text else head}{text}\n")
    port = free_port()
    with _running(folder, port, "recursion no;", named):
        yield f"127.0.0.1:{port}"


@contextmanager
def real_resolver(folder: Path, roots: Sequence[str], port: int) -> Iterator[str]:
    """Its address; it asks the servers at `roots`, and whom they name, at its own port, and soon gives up."""
    hints = "".join(f". 300 IN NS r{n}.invalid.\nr{n}.invalid. 300 IN A {root}\n" for n, root in enumerate(roots))
    (folder / "hints").write_text(hints)
    options = "recursion yes; allow-query { any; }; empty-zones-enable no; resolver-query-timeout 500;"
    with _running(folder, port, options, 'zone "." { type hint; file "hints"; };'):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(folder: Path, port: int, options: str, zones: str) -> Iterator[None]:
    program = need("named")
    (folder / "named.conf").write_text(
        f'options {{ directory "{folder}"; port {port}; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};'
        f" pid-file none; session-keyfile none; notify no; dnssec-validation no; querylog yes; {options}"
        f" check-names primary ignore; }}; controls {{ }}; {zones}"
    )
    command = [program, "-g", "-n", "1", "-c", str(folder / "named.conf")]
    with server(command, log := folder / "named.log", lambda: listens(port) and " running\n" in log.read_text()):
        broken = [line for line in log.read_text().splitlines() if ".zone:" in line or " failed: " in line]
        assert "not loaded due to errors" not in log.read_text(), "\n".join(broken)
        yield


def _file(zone: str) -> str:
    return f"{zone.strip('.') or 'root'}.zone"


def questions(folder: Path) -> list[str]:
    """The names that it was asked for so far, in order; `folder` is the one that it was given."""
    return re.findall(r" query: (\S+) IN ", (folder / "named.log").read_text())


def put_txt(server: str, zone: str, name: str, *texts: str) -> None:
    """Make `texts` the TXT records of `name` in a zone of a running server, by dynamic update (RFC 2136)."""
    address, _, port = server.rpartition(":")
    update = dns.update.UpdateMessage(zone)
    update.delete(name, "TXT")
    for text in texts:
        update.add(name, 0, "TXT", master_text(text))
    assert dns.query.tcp(update, address, 5, int(port)).rcode() == dns.rcode.NOERROR


def txt(name: str, text: str) -> str:
    """A TXT record as a line of a zone."""
    return f"{name} IN TXT {master_text(text)}\n"


def master_text(text: str) -> str:
    """A TXT record's data in strings of 255 characters."""
    return " ".join(f'"{text[at : at + 255]}"' for at in range(0, len(text), 255))


def free_port(addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """One that is free for UDP and for TCP on all `addresses`: long answers come by TCP."""
    while True:
        with suppress(OSError):
            return _port_of_all(addresses)


def _port_of_all(addresses: Sequence[str]) -> int:
    with socket.socket() as first:
        first.bind((addresses[0], 0))
        port = int(first.getsockname()[1])
    for address in addresses:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(type=kind) as probe:
                probe.bind((address, port))
    return port
