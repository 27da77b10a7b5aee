"""`sluice serve`: reads the configuration, opens the sockets, runs one worker here or several under a supervisor."""

import os
import signal
import socket
from pathlib import Path

import structlog
import uvloop

from config.settings import Settings
from relay.checks import required
from relay.observe import logs

log = structlog.get_logger("serve")

BACKLOG = 1024


def serve(config: Path) -> int:
    """Serve until told to stop; the exit status. Raises ConfigProblems when the configuration is wrong."""
    # A reload waits until somebody hears it, and kills nobody.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    settings = required(config)
    logs.configure(settings.log.level, settings.log.format)
    settings.node.state.mkdir(parents=True, exist_ok=True)
    number = int(os.environ.get("SLUICE_WORKER", "0"))
    if number:
        sockets = [socket.socket(fileno=int(fd)) for fd in os.environ["SLUICE_SOCKETS"].split(",")]
        return _work(config, settings, number, sockets, None)
    sockets, http = [listening(endpoint) for endpoint in settings.smtp.listen], listening(settings.http.listen)
    log.info("listening", smtp=[told(sock) for sock in sockets], http=told(http), workers=settings.smtp.workers)
    if settings.smtp.workers == 1:
        return _work(config, settings, 0, sockets, http)
    return _supervise(config, settings, sockets, http)


def _work(
    config: Path, settings: Settings, number: int, sockets: list[socket.socket], http: socket.socket | None
) -> int:
    from relay.worker import Worker  # noqa: PLC0415 - imports the metrics, see _supervise

    return uvloop.run(Worker(config, settings, number).run(sockets, http))


def _supervise(config: Path, settings: Settings, sockets: list[socket.socket], http: socket.socket) -> int:
    from relay.supervisor import Supervisor, forget_metrics, prepare_metrics  # noqa: PLC0415

    prepare_metrics(settings.node.state)  # before anything imports the metrics
    try:
        return uvloop.run(Supervisor(config, settings, sockets, http).run())
    finally:
        forget_metrics()


def listening(endpoint: str) -> socket.socket:
    """A listening TCP socket on "HOST:PORT" or "[HOST]:PORT". Raises OSError that names the endpoint."""
    host, _, port = endpoint.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {endpoint}: {os.strerror(error.errno or 0)}") from error


def told(sock: socket.socket) -> str:
    """The address and port of a listening socket, as one writes it."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
