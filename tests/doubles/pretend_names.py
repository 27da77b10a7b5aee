"""A name server on a UDP port of 127.0.0.1 that answers from a table, and NXDOMAIN for every other name."""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset


def _answer(question: bytes, texts: Mapping[str, str]) -> bytes:
    asked = dns.message.from_wire(question)
    answer = dns.message.make_response(asked)
    answer.flags |= dns.flags.AA | dns.flags.RA
    name, kind = asked.question[0].name, asked.question[0].rdtype
    text = texts.get(name.to_text(omit_final_dot=True).lower())
    if text is None:
        answer.set_rcode(dns.rcode.NXDOMAIN)
    elif kind == dns.rdatatype.TXT:
        parts = " ".join(f'"{text[at : at + 250]}"' for at in range(0, len(text), 250))
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", "TXT", parts))
    return answer.to_wire()


@contextmanager
def pretend_names(texts: Mapping[str, str]) -> Iterator[int]:
    """The port; `texts` are TXT records by name and may change while it runs."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while True:
                question, peer = server.recvfrom(4096)
                if not question:
                    return
                server.sendto(_answer(question, texts), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()
