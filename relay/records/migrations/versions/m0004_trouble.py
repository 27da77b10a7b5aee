"""An index of the messages that were not taken: few of many, and looked for often."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Other messages cost it nothing."""
    trouble = sa.text("outcome IN ('deferred', 'refused', 'rejected_by_next_hop')")
    op.create_index("scans_trouble", "scans", ["tenant", "at"], sqlite_where=trouble, postgresql_where=trouble)


def downgrade() -> None:
    """To the third schema."""
    op.drop_index("scans_trouble", "scans")
