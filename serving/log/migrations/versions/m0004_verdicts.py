"""Verdicts of monitoring, and an index by which answers are counted without reading their rows."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Integer, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add a table, and put an index of more columns in the place of that by time."""
    number = BigInteger().with_variant(Integer, "sqlite")
    op.create_table(
        "verdicts",
        Column("id", number, primary_key=True, autoincrement=True),
        Column("time_us", BigInteger, nullable=False, comment="microseconds since 1970 in UTC"),
        *(Column(name, Text, nullable=False) for name in ("model_digest", "status")),
        Column("cause", Text, nullable=True, comment="of a drift"),
        Column("verified", Boolean, nullable=False),
        Column("num_answers", Integer, nullable=False, comment="of the window"),
        Column("reasons", Text, nullable=False, comment="sentences, a line each"),
    )
    op.create_index("verdicts_by_model", "verdicts", ["model_digest", "id"])
    counted = ("decision", "unknown_kind", "class_name", "latency_ms")
    op.create_index("predictions_by_time_counted", "predictions", ["time_us", "model_name", *counted])
    op.drop_index("predictions_by_time", "predictions")
