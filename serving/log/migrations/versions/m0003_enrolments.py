"""Classes that people enrolled from a few pictures, with the pictures."""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, LargeBinary, Text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add two tables."""
    number = BigInteger().with_variant(Integer, "sqlite")
    op.create_table(
        "enrolments",
        Column("id", number, primary_key=True, autoincrement=True),
        Column("time_us", BigInteger, nullable=False, comment="microseconds since 1970 in UTC"),
        Column("client", Text, nullable=False, comment="name of the API key, never the key"),
        Column("model_name", Text, nullable=False, comment="in all its versions"),
        Column("class_name", Text, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "enrolment_images",
        Column("id", number, primary_key=True, autoincrement=True),
        Column("enrolment", number, ForeignKey("enrolments.id", ondelete="CASCADE"), nullable=False),
        Column("file_name", Text, nullable=False),
        Column("image", LargeBinary, nullable=False, comment="the bytes of the file"),
        sqlite_autoincrement=True,
    )
    op.create_index("enrolment_images_by_enrolment", "enrolment_images", ["enrolment"])
