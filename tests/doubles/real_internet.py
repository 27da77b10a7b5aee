"""A small Internet of names on loopback: a root, a resolver, and servers that zones of "example" are delegated to."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, create_connection, socket
from socketserver import BaseRequestHandler, StreamRequestHandler, ThreadingTCPServer, ThreadingUDPServer
from threading import Thread

from doubles.real_named import free_port, real_named, real_resolver

RESOLVER, ROOT = "127.0.0.1", "127.0.0.2"
"""Who asks for us; who has the root and "example"."""


@dataclass(frozen=True, slots=True)
class Internet:
    """Where it is."""

    resolver: str
    port: int


@contextmanager
def real_internet(
    folder: Path, delegations: Mapping[str, tuple[str, ...]], zones: Mapping[str, Mapping[str, str]]
) -> Iterator[Internet]:
    """`delegations`: the addresses of each zone's servers; `zones`: by the address of a real server, its master files.

    Servers are called ns2 to ns254.servers.example, by the last number of their address; not all need to be real.
    """
    port = free_port([RESOLVER, ROOT, *zones])
    servers = {
        ROOT: {
            ".": _soa("ns2")
            + "@ IN NS ns2.servers.example.\nexample. IN NS ns2.servers.example.\n"
            + _servers("example."),
            "example": _soa("ns2") + "@ IN NS ns2.servers.example.\n" + _lines(delegations) + _servers("@"),
        }
    } | dict(zones)
    with ExitStack() as stack:
        for address, files in servers.items():
            (folder / address).mkdir()
            behind = stack.enter_context(real_named(folder / address, files))
            stack.enter_context(_also_at((address, port), int(behind.rpartition(":")[2])))
        (folder / "resolver").mkdir()
        yield Internet(stack.enter_context(real_resolver(folder / "resolver", [ROOT], port)), port)


@contextmanager
def _also_at(place: tuple[str, int], behind: int) -> Iterator[None]:
    """Pass on what comes to `place`: bind9 itself listens on addresses of an interface only, such as 127.0.0.1."""

    class Datagram(BaseRequestHandler):
        def handle(self) -> None:
            with socket(AF_INET, SOCK_DGRAM) as named, suppress(OSError):
                named.settimeout(5)
                named.sendto(self.request[0], ("127.0.0.1", behind))
                self.request[1].sendto(named.recv(65535), self.client_address)

    class Stream(StreamRequestHandler):
        def handle(self) -> None:
            with create_connection(("127.0.0.1", behind), 5) as named, named.makefile("rb") as answers:
                while length := self.rfile.read(2):
                    named.sendall(length + self.rfile.read(int.from_bytes(length, "big")))
                    size = answers.read(2)
                    self.wfile.write(size + answers.read(int.from_bytes(size, "big")))

    with ThreadingUDPServer(place, Datagram) as datagrams, _Streams(place, Stream) as streams:
        threads = [Thread(target=each.serve_forever, args=(0.05,)) for each in (datagrams, streams)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for each in (datagrams, streams):
                each.shutdown()
            for thread in threads:
                thread.join()


class _Streams(ThreadingTCPServer):
    allow_reuse_address = True


def zone(*servers: str) -> str:
    """The head of a zone that `servers` (addresses) have."""
    names = [f"ns{address.rpartition('.')[2]}" for address in servers]
    return _soa(names[0]) + "".join(f"@ IN NS {name}.servers.example.\n" for name in names)


def _soa(name: str) -> str:
    return f"@ IN SOA {name}.servers.example. hostmaster.example. 1 3600 600 86400 1\n"


def _lines(delegations: Mapping[str, tuple[str, ...]]) -> str:
    """Delegations in the zone "example"."""
    each = [(name, address.rpartition(".")[2]) for name, addresses in delegations.items() for address in addresses]
    return "".join(f"{name}. IN NS ns{number}.servers.example.\n" for name, number in each)


def _servers(origin: str) -> str:
    """The addresses of all servers that could be."""
    return f"$ORIGIN {origin}\n" * (origin != "@") + "$GENERATE 2-254 ns$.servers IN A 127.0.0.$\n"
