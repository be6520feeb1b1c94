"""Tables lie in a PostgreSQL database too."""

from tests.postgres import postgres

__all__ = ["postgres"]
