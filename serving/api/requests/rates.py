"""How often a key may ask: so many requests a minute in all, and fewer of those about pictures.

Counted by `limits` in fixed windows, in memory, in SQLite for several workers of a machine, or in Redis.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time

import anyio.to_thread
from limits import RateLimitItem, parse
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, Storage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from serving.api.endpoint import Endpoint
from serving.api.keys import CHECK_CLIENT, LOCAL_CLIENT
from serving.api.problems import ProblemError
from serving.api.settings import ServiceSettings
from vision.base.errors import ConfigError

DEFAULTS = {"all": "60/minute", "predict": "30/minute"}
"""Of every key but that of this machine, where the settings name no other."""

MOST_SECONDS = 0.5
"""That a request waits for Redis to count it."""
REPORT_SECONDS = 60.0
_TIMEOUTS = ("socket_timeout", "socket_connect_timeout")
_WORDS = {"all": "in all", "predict": "about pictures"}

_TABLE = "CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, number INT, until REAL) WITHOUT ROWID"
_COUNT = (
    "INSERT INTO counts VALUES (?1, ?2, ?3) ON CONFLICT (name) DO UPDATE SET "
    "number = CASE WHEN until <= ?4 THEN ?2 ELSE number + ?2 END, "
    "until = CASE WHEN until <= ?4 THEN ?3 ELSE until END RETURNING number"
)
_logger = logging.getLogger("taxon.serving")


class SqliteStorage(Storage):
    """Counts in a SQLite file that the workers of a machine share: `sqlite:///PATH`."""

    STORAGE_SCHEME = ["sqlite"]  # noqa: RUF012  as the library declares it
    base_exceptions = sqlite3.Error

    def __init__(self, uri: str, wrap_exceptions: bool = False, **_: float | str | bool) -> None:
        """Open the file, made if absent."""
        super().__init__(uri, wrap_exceptions)
        self._lock = threading.Lock()
        path = uri.removeprefix("sqlite:///")
        self._connection = sqlite3.connect(path, 0.5, isolation_level=None, check_same_thread=False)
        for line in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", _TABLE):
            self._connection.execute(line)

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """The count of a name after `amount` more, in a window of `expiry` seconds since its first."""
        now = time.time()
        return int(self._ask(_COUNT, key, amount, now + expiry, now))

    def get(self, key: str) -> int:
        """The count of a name in its window."""
        return int(self._ask("SELECT number FROM counts WHERE name = ? AND until > ?", key, time.time()))

    def get_expiry(self, key: str) -> float:
        """When the window of a name ends, in seconds since 1970."""
        return float(self._ask("SELECT until FROM counts WHERE name = ?", key))

    def check(self) -> bool:
        """Whether the file can be read."""
        return self._ask("SELECT 1") == 1

    def reset(self) -> int:
        """Forget all counts."""
        return int(self._ask("DELETE FROM counts"))

    def clear(self, key: str) -> None:
        """Forget the count of a name."""
        self._ask("DELETE FROM counts WHERE name = ?", key)

    def _ask(self, line: str, *values: object) -> float:
        with self._lock:
            row = self._connection.execute(line, values).fetchone()
        return 0 if row is None else float(row[0])


class RateLimits:
    """Counts requests by key."""

    def __init__(self, settings: ServiceSettings) -> None:
        """Connect to where the counts are kept.

        Raises:
            ConfigError: that is unknown, or cannot be used.
        """
        given = {"all": settings.rate_limit, "predict": settings.predict_rate_limit}
        self._every = {name: _parse(text) for name, text in given.items()}
        self._usual = {name: _parse(text or DEFAULTS[name]) for name, text in given.items()}
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._reported_at = float("-inf")
        url = settings.rate_limit_storage.get_secret_value()
        self._is_remote = not url.startswith("memory:")
        patience = dict.fromkeys(_TIMEOUTS, MOST_SECONDS) if url.startswith("redis") else {}
        try:
            self._shared = FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **patience))
        except (ConfigurationError, sqlite3.Error, ValueError) as error:
            fault = str(error).replace(url, "an address of that form")  # it may hold a password
            raise ConfigError(
                f"TAXON_RATE_LIMIT_STORAGE: the counts cannot be kept there ({fault}). Expected memory://, "
                "sqlite:///PATH, or redis://HOST (its package is in requirements-extras.txt)."
            ) from error

    async def count(self, client: str | None, endpoint: Endpoint) -> dict[str, str]:
        """Count a request of a key; headers that say how many more it has.

        Raises:
            ProblemError: it had its share of this minute (429).
        """
        limits = self.find_limits(client, about_pictures=endpoint.about_pictures)
        if not limits or client is None:
            return {}
        if self._is_remote:
            left = await anyio.to_thread.run_sync(self._count, client, limits)
        else:
            left = self._count(client, limits)
        policy = [f'"{name}";q={each.amount};w={each.get_expiry()}' for name, each in limits.items()]
        rests = [f'"{name}";r={max(0, rest)};t={wait}' for name, (rest, wait) in left.items()]
        told = {"ratelimit-policy": ", ".join(policy), "ratelimit": ", ".join(rests)}
        waits = [wait for rest, wait in left.values() if rest < 0]
        if waits:
            raise _too_often(limits, max(waits), told)
        return told

    def find_limits(self, client: str | None, *, about_pictures: bool) -> dict[str, RateLimitItem]:
        """The limits of a client's requests, by name."""
        if client in (None, CHECK_CLIENT):
            return {}
        chosen = self._every if client == LOCAL_CLIENT else self._usual
        names = DEFAULTS if about_pictures else ("all",)
        return {name: limit for name in names if (limit := chosen[name]) is not None}

    def _count(self, client: str, limits: dict[str, RateLimitItem]) -> dict[str, tuple[int, int]]:
        """Limit -> requests left, below 0 where there were too many, and seconds to the end of its window."""
        try:
            return _count(self._shared, client, limits)
        except StorageError as error:
            if time.monotonic() >= self._reported_at + REPORT_SECONDS:
                self._reported_at = time.monotonic()
                _logger.error(  # noqa: TRY400  the message says it all
                    "Rate limits are counted by each worker alone: %s", error.storage_error
                )
            return _count(self._own, client, limits)


def _count(
    limiter: FixedWindowRateLimiter, client: str, limits: dict[str, RateLimitItem]
) -> dict[str, tuple[int, int]]:
    left = {}
    for name, limit in limits.items():
        within = limiter.hit(limit, name, client)
        ends, rest = limiter.get_window_stats(limit, name, client)
        left[name] = rest if within else -1, max(1, round(ends - time.time()))
    return left


def _parse(text: str | None) -> RateLimitItem | None:
    return None if text in (None, "none") else parse(text)


def _too_often(limits: dict[str, RateLimitItem], wait: int, headers: dict[str, str]) -> ProblemError:
    return ProblemError(
        "too-often",
        arrived="More requests of this key arrived than it has",
        expected=" and ".join(f"at most {each} {_WORDS[name]}" for name, each in limits.items()),
        advice=f"Try again in {wait} seconds, or ask the operator for more",
        headers={**headers, "retry-after": str(wait), "connection": "close"},
    )
