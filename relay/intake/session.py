"""One SMTP connection, and the only door to aiosmtpd.

The class is aiosmtpd's, its hot path is ours: aiosmtpd reads bodies line by line, knows neither PIPELINING nor BDAT,
cuts slow uploads and slow handlers with its one timer and without a reply, and inspects all its members for each
connection. What a command means is in `commands.py`, what bytes mean in `reader.py`, what waiting means in `link.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import cast

import structlog
from aiosmtpd.smtp import SMTP

from relay import replies
from relay.errors import Refused, SluiceError
from relay.intake import commands
from relay.intake.admission import inside, plain_text
from relay.intake.answer import LateReplyError
from relay.intake.certificates import certificate_names
from relay.intake.link import HungUpError, InterruptedLinkError, LinkError, TooSlowError
from relay.intake.proxy import ProxyHeaderError, read_header
from relay.intake.service import Service
from relay.intake.transaction import Transactions, no_argument
from relay.observe.metrics import SESSIONS
from relay.replies import Reply
from verdicts.mail import Tls

PROXY_TIMEOUT = 5.0
TURN = 50
"""Commands after which the other sessions have their turn, and the client must have taken the replies."""
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "CHUNKING", "DSN", "ENHANCEDSTATUSCODES")
"""BINARYMIME is not among them: what it allows can go on by BDAT only."""

log = structlog.get_logger("relay.intake")


class SmtpServer(Transactions, SMTP):
    """The session of one connection: an asyncio protocol with one coroutine that takes command after command."""

    _admitted: bool = False
    _entered: str | None = None  # the peer that the session is counted for

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop) -> None:
        Transactions.__init__(self, service, loop)  # and not SMTP's
        self._tasks: set[asyncio.Task[None]] = set()

    # The connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody connected."""
        self._tcp = cast(asyncio.Transport, transport)  # uvloop's is not one by class
        SESSIONS.inc()
        if self._service.sessions.enter(self, self._options.max_sessions):
            self.go_on()
        else:
            self._turn_away()

    def _turn_away(self) -> None:
        """No session: told and closed at once, without a task and a log line, since thousands a second may come."""
        self._count("too_many_sessions")
        self.say(replies.TOO_MANY_SESSIONS)
        self.end()

    def go_on(self) -> None:
        """Take the next commands, in a coroutine of its own."""
        task = self.loop.create_task(self._handle_client())
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not self._tasks:
            self._service.sessions.leave(self, self._entered)

    def cut(self) -> None:
        """End now, unless a hand-over has begun; a next hop that is only being asked is not waited for."""
        asking = not self._replying and len(self._tasks) == 1  # of two, one still hands a message over
        super().cut()
        if asking and self.ended:
            for task in self._tasks:
                task.cancel()

    async def _handle_client(self) -> None:
        goes_on = False
        try:
            await self._converse()
        except LateReplyError:
            goes_on = True
        except TooSlowError:
            self._refuse(Refused(replies.IDLE, "idle"))
        except InterruptedLinkError:
            self._refuse(Refused(replies.SHUTTING_DOWN, "draining"))
        except HungUpError:
            pass
        except SluiceError as error:
            self._refuse(error)
            log.info("connection refused", peer=self._peer, reason=error.reason)
        finally:
            if not goes_on:
                await self._close()

    async def _close(self) -> None:
        try:
            await self._abandon()
        finally:
            self.end()

    async def _converse(self) -> None:
        if not self._admitted:
            await self._admit()
            self._admitted = True
        inbox, longest = self.inbox, self._options.max_command_bytes
        taken, until = 0, 0.0
        while not self.ended:
            try:
                line = inbox.line(longest)
                if line is None:  # it has until then, in however many pieces it comes
                    until = until or self.loop.time() + self._options.idle_timeout
                    await self._next_bytes(until)
                    continue
                await self._obey(line)
            except LinkError:
                raise
            except SluiceError as error:
                self._refuse(error)
            except Exception:
                self.say(replies.LOCAL_FAILURE)
                log.exception("session failed", session=self._id, peer=self._peer)
            taken, until = taken + 1, 0.0
            if taken % TURN == 0:
                await self.flush()
                await asyncio.sleep(0)

    async def _admit(self) -> None:
        """Say the banner. Raises Refused when the client may not talk to us, LinkError when it is gone."""
        options, service = self._options, self._service
        if service.sessions.draining:
            raise Refused(replies.SHUTTING_DOWN, "draining")
        name = self._tcp.get_extra_info("peername")
        self._peer = plain_text(str(name[0]) if name else "")
        from_balancer = inside(self._peer, options.proxy_networks)
        # A balancer's own health check may look around, and send mail only where its address is admitted.
        health_check = from_balancer and not await self._read_proxy_header()
        self._network = service.admission.network_of(self._peer)
        if self._network is None and not health_check:
            raise Refused(replies.STRANGER, "stranger")
        self._entered = self._peer
        service.sessions.enter_peer(self._peer, options.max_sessions_per_peer)
        self.say(replies.banner(options.name))

    async def _read_proxy_header(self) -> bool:
        """Take the peer from the PROXY header; False when it names none. Raises LinkError."""
        deadline = self.loop.time() + PROXY_TIMEOUT
        data = b""
        try:
            while (header := read_header(data)) is None:
                chunk = self.inbox.chunk()
                if chunk is None:
                    await self.more(max(deadline - self.loop.time(), 0.0))
                else:
                    data += chunk
        except (ProxyHeaderError, TooSlowError) as error:
            self._count("proxy_header")
            log.info("bad PROXY header", peer=self._peer, error=str(error))
            raise HungUpError from error
        self.inbox.unread(data[header.used :])
        if header.peer is None:
            return False
        self._peer = plain_text(header.peer)
        return True

    # Commands.

    def _next_bytes(self, until: float) -> Awaitable[None]:
        """What is to be awaited for more of a command. Raises InterruptedLinkError when the next is not wanted."""
        if self._service.sessions.draining and self._envelope is None:
            raise InterruptedLinkError
        return self.more(max(until - self.loop.time(), 0.0))

    def _obey(self, line: bytes) -> Awaitable[None]:
        """What is to be awaited for the command in `line`. Raises Refused."""
        verb, _, rest = line.partition(b" ")
        command = _COMMANDS.get(verb.upper())
        if command is None:
            raise Refused(replies.UNKNOWN_COMMAND, "syntax")
        try:
            argument = rest.decode().strip(" ")
        except UnicodeDecodeError as error:
            raise Refused(replies.NOT_UTF8, "syntax") from error
        return command(self, argument)

    async def _hello(self, argument: str, *, esmtp: bool) -> None:
        helo = commands.read_greeting(argument)
        await self._abandon()
        self._helo, self._esmtp, self._facts = helo, esmtp, None
        tls_offered = self._tls is None and self._service.tls() is not None
        self._tell_idler(_hello(self._options.name, self._options.max_message_bytes if esmtp else None, tls_offered))

    async def _ehlo(self, argument: str) -> None:
        await self._hello(argument, esmtp=True)

    async def _helo_command(self, argument: str) -> None:
        await self._hello(argument, esmtp=False)

    async def _starttls(self, argument: str) -> None:
        no_argument(argument)
        context = self._service.tls()
        if self._tls is not None:
            raise Refused(replies.TLS_ALREADY, "syntax")
        if context is None:
            raise Refused(replies.NOT_OFFERED, "syntax")
        await self._abandon()
        self.say(replies.READY_FOR_TLS)
        await self.flush()
        try:
            tls = await self.start_tls(context)
        except OSError as error:
            self._service.failed_handshakes += 1
            count = self._service.failed_handshakes
            log.info("TLS handshake failed", peer=self._peer, error=str(error), so_far=count)
            raise HungUpError from error
        cipher = tls.cipher()
        names = certificate_names(tls.getpeercert())
        self._tls = Tls(tls.version() or "", cipher[0] if cipher else "", names)
        self._helo, self._facts = "", None  # RFC 3207 section 4.2: as if nothing had been said

    async def _rset(self, argument: str) -> None:
        no_argument(argument)
        await self._abandon()
        self._tell_idler(replies.OK)

    async def _quit(self, argument: str) -> None:
        no_argument(argument)
        self.say(replies.BYE)
        self.end()

    async def _noop(self, _argument: str) -> None:
        self._tell_idler(replies.OK)

    async def _vrfy(self, _argument: str) -> None:
        self._tell_idler(replies.CANNOT_VERIFY)

    async def _help(self, _argument: str) -> None:
        self._tell_idler(replies.HELP)


@lru_cache(maxsize=16)
def _hello(name: str, size: int | None, tls_offered: bool) -> Reply:
    """The reply to EHLO, and without a `size` to HELO."""
    if size is None:
        return replies.hello(name)
    return replies.hello(name, (f"SIZE {size}", *EXTENSIONS, *(("STARTTLS",) if tls_offered else ())))


_COMMANDS: dict[bytes, Callable[[SmtpServer, str], Awaitable[None]]] = {
    b"EHLO": SmtpServer._ehlo,
    b"HELO": SmtpServer._helo_command,
    b"STARTTLS": SmtpServer._starttls,
    b"MAIL": SmtpServer._mail,
    b"RCPT": SmtpServer._rcpt,
    b"DATA": SmtpServer._data,
    b"BDAT": SmtpServer._bdat,
    b"RSET": SmtpServer._rset,
    b"QUIT": SmtpServer._quit,
    b"NOOP": SmtpServer._noop,
    b"VRFY": SmtpServer._vrfy,
    b"HELP": SmtpServer._help,
}
