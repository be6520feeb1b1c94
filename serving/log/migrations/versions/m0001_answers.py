"""The answers and, apart from them, their images.

A log made before Alembic has these tables, or all but the images and the last index: only what is missing is
made.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, LargeBinary, Text

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables and indexes that are not there."""
    number = BigInteger().with_variant(Integer, "sqlite")
    op.create_table(
        "predictions",
        Column("number", number, primary_key=True, autoincrement=True),
        Column("prediction_id", Text, nullable=False, unique=True),
        Column("time_us", BigInteger, nullable=False, comment="microseconds since 1970 in UTC"),
        *(Column(name, Text, nullable=False) for name in ("client", "file_name")),
        Column("latency_ms", Double, nullable=False),
        *(Column(name, Text, nullable=False) for name in ("model_name", "model_version", "model_digest")),
        Column("group_name", Text, nullable=True),
        *(Column(name, Text, nullable=False) for name in ("decision", "class_name")),
        *(Column(name, Double, nullable=False) for name in ("confidence", "unknown_score", "p_value")),
        *(Column(name, Integer, nullable=False) for name in ("num_logits", "embedding_width")),
        Column("quality_width", Integer, nullable=False),
        Column("logits", LargeBinary, nullable=False, comment="float32, little endian"),
        Column("embedding", LargeBinary, nullable=False, comment="float16, little endian"),
        Column("quality", LargeBinary, nullable=False, comment="float32, little endian"),
        sqlite_autoincrement=True,
        if_not_exists=True,
    )
    op.create_table(
        "prediction_images",
        Column("number", number, ForeignKey("predictions.number", ondelete="CASCADE"), primary_key=True),
        Column("image", LargeBinary, nullable=False, comment="the bytes that the client sent"),
        if_not_exists=True,
    )
    op.create_index("predictions_by_model", "predictions", ["model_digest", "number"], if_not_exists=True)
    op.create_index("predictions_by_time", "predictions", ["time_us"], if_not_exists=True)
    op.create_index("predictions_by_client", "predictions", ["client", "group_name"], if_not_exists=True)
