"""Why an answer was unknown, and what people say that an answer should have been."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, Text

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add a column to the answers, and a table of corrections."""
    number = BigInteger().with_variant(Integer, "sqlite")
    op.add_column("predictions", Column("unknown_kind", Text, nullable=True))
    op.create_table(
        "corrections",
        Column("id", number, primary_key=True, autoincrement=True),
        Column("number", number, ForeignKey("predictions.number", ondelete="CASCADE"), nullable=False),
        Column("time_us", BigInteger, nullable=False, comment="microseconds since 1970 in UTC"),
        Column("client", Text, nullable=False, comment="name of the API key, never the key"),
        Column("class_name", Text, nullable=False, comment="what the picture shows, as a person says"),
        sqlite_autoincrement=True,
    )
    op.create_index("corrections_by_number", "corrections", ["number"])
