"""How many messages of a sender a tenant was given: an index for that question."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An address has at most 320 bytes, and so fits in an index of every database."""
    op.create_index("scans_tenant_sender", "scans", ["tenant", "sender", "outcome"])


def downgrade() -> None:
    """To the first schema."""
    op.drop_index("scans_tenant_sender", "scans")
