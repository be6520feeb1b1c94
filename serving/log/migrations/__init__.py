"""Alembic's script folder of the prediction log; `serving.log.schema.upgrade` runs it."""
