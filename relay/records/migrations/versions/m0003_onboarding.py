"""Proof of domains, rotation of loop values, notices."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def _names(*lengths: tuple[str, int]) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(length), primary_key=True) for name, length in lengths]


def _times(*names: str) -> list[sa.Column[float]]:
    return [sa.Column(name, sa.Double, nullable=False) for name in names]


def upgrade() -> None:
    """Three tables beside those of the tenants."""
    op.create_table(
        "verifications",
        *_names(("tenant", 255), ("domain", 255), ("region", 63)),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        *_times("added", "changed", "checked", "seen"),
        sa.Column("problem", sa.Text, nullable=False),
    )
    op.create_table("rotations", *_names(("tenant", 255)), *_times("started"))
    op.create_table(
        "notices",
        *_names(("tenant", 255), ("kind", 40), ("subject", 255)),
        *_times("sent"),
        sa.Column("held", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """To the second schema."""
    for name in ("notices", "rotations", "verifications"):
        op.drop_table(name)
