"""The first schema: scans, tenants, revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXTS = ("node", "outcome", "tenant", "peer", "helo", "network", "sender", "message_id", "subject", "category")
_MORE_TEXTS = ("action", "rule", "proof", "reason", "reply", "next_hop")


def upgrade() -> None:
    """From an empty database."""
    op.create_table(
        "scans",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in _TEXTS + _MORE_TEXTS),
        *(sa.Column(name, sa.Text) for name in ("would", "quarantine_id")),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("recipients", "verdicts", "seconds")),
    )
    op.create_index("scans_at", "scans", ["at"])
    op.create_index("scans_tenant_at", "scans", ["tenant", "at"])
    op.create_table(
        "tenants",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("document", sa.JSON, nullable=False),
    )
    table = op.create_table(
        "revision",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("n", sa.BigInteger, nullable=False),
    )
    op.bulk_insert(table, [{"id": 1, "n": 0}])


def downgrade() -> None:
    """To an empty database."""
    for name in ("revision", "tenants", "scans"):
        op.drop_table(name)
