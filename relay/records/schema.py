"""The tables, as the newest migration leaves them (a test compares). Only what SQLite and PostgreSQL have in common."""

from sqlalchemy import JSON, BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()

TROUBLE = text("outcome IN ('deferred', 'refused', 'rejected_by_next_hop')")
"""Which messages the index of the troubles has; the others cost it nothing."""

scans = Table(
    "scans",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", Double, nullable=False),
    Column("node", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("peer", Text, nullable=False),
    Column("helo", Text, nullable=False),
    Column("network", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("recipients", JSON, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("category", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("would", Text),
    Column("rule", Text, nullable=False),
    Column("proof", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("quarantine_id", Text),
    Column("next_hop", Text, nullable=False),
    Column("verdicts", JSON, nullable=False),
    Column("seconds", JSON, nullable=False),
    Index("scans_at", "at"),
    Index("scans_tenant_at", "tenant", "at"),
    Index("scans_tenant_sender", "tenant", "sender", "outcome"),
    Index("scans_trouble", "tenant", "at", sqlite_where=TROUBLE, postgresql_where=TROUBLE),
)

tenants = Table(
    "tenants",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("document", JSON, nullable=False),
)

revision = Table(
    "revision",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("n", BigInteger, nullable=False),
)
"""One row: `n` grows with every change of the tenants."""

verifications = Table(
    "verifications",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("domain", String(255), primary_key=True),
    Column("region", String(63), primary_key=True),
    Column("value", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("added", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("checked", Double, nullable=False),
    Column("seen", Double, nullable=False),
    Column("problem", Text, nullable=False),
)
"""How far the proof of each domain is; times are seconds since the epoch, 0 for never."""

rotations = Table(
    "rotations",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("started", Double, nullable=False),
)
"""Since when tenants have a new loop value beside their old one."""

notices = Table(
    "notices",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("kind", String(40), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("sent", Double, nullable=False),
    Column("held", BigInteger, nullable=False),
)
"""When tenants were last told of something, and how many times it was held back since."""
