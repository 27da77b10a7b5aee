"""The tables, as the newest migration leaves them (a test compares). Only what SQLite and PostgreSQL have in common."""

from sqlalchemy import JSON, BigInteger, Column, Double, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

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
