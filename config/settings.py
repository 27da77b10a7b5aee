"""Every setting of Sluice, with its default and its explanation. `config/README.md` is checked against it.

Durations are seconds and sizes are bytes unless the name says otherwise. Unknown keys are mistakes.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from config.onboarding import Environment, Notices, Onboarding
from config.table import HOST, LABEL, Count, Endpoint, Network, Seconds, Table


class Node(Table):
    """[node]: who this node is."""

    name: str = Field(pattern=HOST, max_length=253)
    """Host name of this node: HELO name, Received field, trace. Must resolve to the node's egress address."""
    state: Path
    """Folder for the database, the quarantine and the temporary files; must be writable."""
    drain: Seconds = 30.0
    """Seconds that running transactions get to finish after SIGTERM."""


class Smtp(Table):
    """[smtp]: how mail comes in."""

    listen: list[Endpoint] = Field(default=["127.0.0.1:2525"], min_length=1)
    """Addresses and ports to listen on; port 0 takes a free one and tells it in the log."""
    workers: int = Field(1, ge=1, le=64)
    """Processes that serve mail."""
    require_tls: bool = True
    """Refuse MAIL before STARTTLS."""
    certificate: Path | None = None
    """PEM file with the server's certificate and its chain."""
    private_key: Path | None = None
    """PEM file with the certificate's key."""
    client_certificate_names: list[str] = []
    """When not empty: the client must show a certificate that chains to a trusted root and carries one of these names
    ("*.x" matches one label). Microsoft's is "mail.protection.outlook.com"."""
    client_certificate_roots: Path | None = None
    """PEM file of the roots for client certificates; the system's when not given."""
    proxy_networks: list[Network] = []
    """Load balancers whose PROXY protocol header (v1 or v2) is required and believed."""
    max_message_bytes: int = Field(48_000_000, ge=65_536)
    """Largest message; told as SIZE."""
    max_header_bytes: int = Field(1_048_576, ge=4_096)
    """Largest header section of a message."""
    max_recipients: Count = 1000
    """Recipients of one transaction; one more hears 452 4.5.3."""
    max_sessions: Count = 1000
    """Open connections of the node, shared evenly by its workers; one more hears 421 4.3.2."""
    max_sessions_per_peer: Count = 200
    """Open connections of one peer address, shared likewise."""
    max_errors: Count = 20
    """Commands refused with 5yz in one session before it is closed with 421 4.7.0; recipients that the next hop refuses
    may be five times as many."""
    max_command_bytes: int = Field(8_192, ge=1_024)
    """Longest command line."""
    max_bytes_in_flight: int = Field(1_000_000_000, ge=65_536)
    """Message bytes that the node holds, in memory and in temporary files, shared likewise; above it 452 4.3.1."""
    memory_bytes: int = Field(67_108_864, ge=0)
    """Message bytes that one worker keeps in memory; what has no room there goes to unlinked temporary files."""
    idle_timeout: Seconds = 600.0
    """Seconds that a client may stay silent between commands (Exchange Online expects 10 minutes)."""
    data_timeout: Seconds = 180.0
    """Seconds without a byte while a message is read."""
    transfer_timeout: Seconds = 1800.0
    """Seconds that reading one message may take in all."""
    reply_timeout: Seconds = 480.0
    """Seconds from the end of the data to our reply; then 451 4.4.7, unless the hand-over has begun."""


def _web_service(value: str) -> str:
    """`value` if its answers can be believed: https, or http to this machine. Raises ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError('must be like "https://host" or "https://host:port/path"')
    _ = parts.port  # ValueError where it is none
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError("must be https: who forges the answers decides who may talk to us")
    return value


class Admission(Table):
    """[admission]: who may talk to us."""

    microsoft: bool = True
    """Admit the ranges of Exchange Online that Microsoft publishes: those that are shipped, or newer ones that were
    fetched."""
    clouds: list[Literal["worldwide", "gcc-high", "china"]] = ["worldwide"]
    """Which of Microsoft's clouds are meant."""
    refresh: bool = True
    """Ask Microsoft for newer ranges once an hour, by HTTPS. When false, `sluice ranges update` alone does."""
    refresh_jitter: float = Field(600.0, ge=0, le=86_400)
    """Seconds by which each question is put off at random, up to so many, so that nodes do not all ask at once."""
    endpoints_url: Annotated[str, AfterValidator(_web_service)] = "https://endpoints.office.com"
    """Where Microsoft's endpoints web service is, or an https mirror of it (http on this machine only)."""
    networks: list[Network] = []
    """The operator's own networks, admitted besides."""
    validation_addresses: list[str] = []
    """Mailboxes for Exchange's connector validation, besides those of the environments: their mail is accepted and
    thrown away."""


class Delivery(Table):
    """[delivery]: how mail goes on to the next hop."""

    tls: Literal["verify", "opportunistic", "off"] = "verify"
    """verify: TLS with a valid chain and name, or 451; opportunistic: TLS without proof where offered; off: none."""
    roots: Path | None = None
    """PEM file of trusted roots; the system's when not given."""
    certificate: Path | None = None
    """PEM file of our client certificate, shown to the next hop."""
    private_key: Path | None = None
    """PEM file of its key."""
    ipv6: bool = False
    """Use AAAA records after the A records. Exchange Online refuses IPv6 senders without SPF and PTR."""
    connections: Count = 20
    """Open connections of the node to one next hop, shared evenly by its workers."""
    max_age: Seconds = 540.0
    """Seconds after which a connection is not used again; Exchange Online cuts old sessions."""
    max_messages: Count = 100
    """Messages on one connection."""
    max_idle: Seconds = 30.0
    """Seconds that an unused connection stays open."""
    hold: Seconds = 15.0
    """Seconds that a transaction is held open at the next hop while engines work; then it is given back."""
    connect_timeout: Seconds = 20.0
    """Seconds for one address: TCP, greeting, EHLO and TLS."""
    command_timeout: Seconds = 60.0
    """Seconds for the reply to one command, and for one piece of the body to be taken."""
    final_timeout: Seconds = 300.0
    """Seconds for the reply to the end of the data."""
    wait_timeout: Seconds = 30.0
    """Seconds that a transaction waits for a free connection before 451."""


class Judging(Table):
    """[judging]: limits for all engines together."""

    deadline: Seconds = 20.0
    """Seconds for all engines of one message; an engine that is not done has a "late" verdict."""
    at_once: Count = 500
    """The most messages of the node that are judged at a time, shared evenly by its workers. A worker begins with 200,
    goes up while they are used, and down when many take more than half of the shortest deadline; one more hears
    451 4.3.2. Messages of 256 KiB and more wait for their turn instead."""
    ambiguous: Literal["ignore", "note", "suspicious", "spam", "malicious", "unscanned"] = "unscanned"
    """What it means that readers may take a message's MIME structure in different ways, so that engines may have judged
    other content than the recipient will see: how bad the finding AMBIGUOUS_MIME is, "unscanned", or "ignore" not to
    look."""
    stop_at_malicious: bool = False
    """Whether one malicious finding is enough: the other engines are sent away, their verdicts are "skipped"."""
    shadow_grace: float = Field(0.0, ge=0, le=5)
    """Seconds that a message may wait for shadow engines when all others are done. With 0 it waits for none; then
    engines that are slower than the others are tried in vain."""


class Dns(Table):
    """[dns]: the resolver."""

    servers: list[Endpoint] = []
    """Name servers; those of /etc/resolv.conf when empty."""
    timeout: Seconds = 5.0
    """Seconds for one look-up."""


def _signed(names: list[str]) -> list[str]:
    """`names` if a message signature may cover them (RFC 8617 section 4.1.2). Raises ValueError."""
    low = [name.lower() for name in names]
    if "from" not in low:
        raise ValueError("must name From")
    if len(set(low)) < len(low):
        raise ValueError("names a field twice")
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,76}", name):
            raise ValueError(f"{name!r} is no field name")
        if re.fullmatch("(arc-.*|authentication-results|received|return-path)", name, re.IGNORECASE):
            raise ValueError(f"must not name {name}, which changes on the way")
    return names


class Arc(Table):
    """[arc]: an ARC set on all mail that is handed over (RFC 8617); none is written without this table."""

    domain: str = Field(pattern=HOST, max_length=253)
    """Who seals: d= of our set. A tenant that names it with Set-ArcConfig -ArcTrustedSealers believes what we found."""
    selector: str = Field(pattern=HOST, max_length=253)
    """Which key: its public half is a TXT record at SELECTOR._domainkey.DOMAIN, as for DKIM."""
    private_key: Path
    """PEM file of the RSA key, 2048 to 4096 bits, without a password; read again on SIGHUP."""
    authserv_id: str | None = Field(None, pattern=HOST, max_length=253)
    """Our name in Authentication-Results; fields that arrive under it are taken off. `node.name` when not given."""
    signed: Annotated[list[str], AfterValidator(_signed)] = [
        "From", "Sender", "Reply-To", "Subject", "Date", "Message-ID", "To", "Cc", "MIME-Version", "Content-Type",
        "Content-Transfer-Encoding", "Content-ID", "Content-Description", "Resent-Date", "Resent-From",
        "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID", "In-Reply-To", "References", "List-Id",
        "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post", "List-Subscribe", "List-Post", "List-Owner",
        "List-Archive", "DKIM-Signature",
    ]  # fmt: skip
    """Header fields that the seal protects, where a message has them (RFC 6376 section 5.4.1); From is one of them."""
    deadline: Seconds = 10.0
    """Seconds for one message's seal, most of them for DNS; then it goes unsealed."""


class Quarantine(Table):
    """[quarantine]: mail that is withheld."""

    folder: Path | None = None
    """Where it lies; `quarantine` below the state folder when not given."""
    keep_days: int = Field(30, ge=1, le=3650)
    """Days until an entry is deleted."""


class Records(Table):
    """[records]: what is remembered of each message."""

    url: str | None = None
    """SQLAlchemy URL of the database; SQLite in the state folder when not given."""
    keep_days: int = Field(30, ge=1, le=3650)
    """Days until a record is deleted."""
    backlog: Count = 10_000
    """Records that may wait for the database; what is more goes to the log whole."""


class Http(Table):
    """[http]: metrics, health."""

    listen: Endpoint = "127.0.0.1:8025"
    """Address and port of the HTTP server; port 0 takes a free one and tells it in the log."""


class Log(Table):
    """[log]: what is told, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""
    format: Literal["json", "text"] = "json"
    """json for machines, text for people."""


class Settings(Table):
    """The whole configuration file."""

    node: Node
    smtp: Smtp = Smtp()
    admission: Admission = Admission()
    delivery: Delivery = Delivery()
    judging: Judging = Judging()
    dns: Dns = Dns()
    arc: Arc | None = None
    environments: dict[Annotated[str, Field(pattern=LABEL)], Environment] = {}
    """One table for each; `environments-example.toml` beside this file has some."""
    onboarding: Onboarding = Onboarding()
    notices: Notices = Notices()
    quarantine: Quarantine = Quarantine()
    records: Records = Records()
    http: Http = Http()
    log: Log = Log()
    engines: dict[str, dict[str, Any]] = {}
    """One table for each engine, with that engine's own options; without any, testpatterns alone runs."""

    @property
    def quarantine_folder(self) -> Path:
        """Where quarantined mail lies."""
        return self.quarantine.folder or self.node.state / "quarantine"

    @property
    def records_url(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.records.url or f"sqlite:///{self.node.state / 'sluice.db'}"
