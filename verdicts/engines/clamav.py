"""ClamAV's clamd over TCP or a Unix socket: the INSTREAM command (clamd(8)).

A message beyond a limit of clamd is "unscanned", never clean. clamd looks into archives only as far as its own limits
allow, and says so only with `AlertExceedsMax yes` in clamd.conf: set it.
"""

from collections.abc import Iterable

from pydantic import Field

from verdicts.contract import Engine, EngineOptions, Finding, Severity, Tools, Unscanned
from verdicts.mail import Content, Mail
from verdicts.protocols.wire import Connection, SocketAddress, connected, exchange

CLEAN = "stream: OK"
_REPLY_BYTES = 4_096
UNSCANNED = ("Heuristics.Limits.Exceeded", "Heuristics.Encrypted")
"""How the names begin of what ClamAV "finds" where it could not look inside."""
_SUSPICIOUS = ("Heuristics.OLE2.ContainsMacros",)  # an alert that the operator asked for, not a virus


class Clamav(Engine):
    """Asks a clamd, on a connection of its own for each message: clamd's sessions save nothing on loopback."""

    class Options(EngineOptions):
        """[engines.clamav]."""

        address: SocketAddress = "127.0.0.1:3310"
        """clamd's TCPSocket as HOST:PORT, or the path of its LocalSocket."""
        at_once: int | None = Field(10, ge=1)
        """Messages that a worker may have at clamd at a time; clamd's MaxThreads is 10 by default."""

    def __init__(self, options: Options, tools: Tools) -> None:
        super().__init__(options, tools)
        self._address = options.address

    async def judge(self, mail: Mail) -> Iterable[Finding]:
        """Raises OSError when clamd does not answer, ValueError when its answer makes no sense."""
        async with connected(self._address) as connection:
            # Past its size limit clamd answers at once and hangs up.
            sending, reading = _send(connection, mail.content), _receive(connection)
            return _findings(await exchange(sending, reading, lambda reply: reply == CLEAN))


async def _send(connection: Connection, content: Content) -> None:
    await connection.send([b"zINSTREAM\0"])
    # A piece without bytes would be the end.
    await connection.send(len(piece).to_bytes(4, "big") + piece for piece in content.pieces() if piece)
    await connection.send([bytes(4)])


async def _receive(connection: Connection) -> str:
    return (await connection.until(b"\0", _REPLY_BYTES)).decode("utf-8", "replace").strip()


def _findings(reply: str) -> list[Finding]:
    if reply == CLEAN:
        return []
    if "size limit exceeded" in reply:
        raise Unscanned("the message is larger than clamd takes")
    name = reply.removeprefix("stream: ").removesuffix(" FOUND")
    if reply != f"stream: {name} FOUND" or not name:
        raise ValueError(f"clamd answered {reply[:100]!r}")
    if name.startswith(UNSCANNED):
        raise Unscanned(f"clamd could not look inside: {name}", [Finding(name)])
    return [Finding(name, Severity.SUSPICIOUS if name.startswith(_SUSPICIOUS) else Severity.MALICIOUS)]
