"""API keys: `name:key` in TAXON_API_KEYS, or one in a file for the clients of this machine."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from vision.base.errors import ConfigError
from vision.base.files import storage_errors

MIN_KEY_LENGTH = 16
MAX_KEY_BYTES = 256

LOCAL_CLIENT = "local"
"""Name of the client whose key lies in the key file."""

CHECK_CLIENT = "deployment-check"
"""Name of the client that compares a new service's answers; its questions are not logged."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_FORM = "TAXON_API_KEYS: expected name:key,name:key (names of a-z, 0-9, _ and -; keys of at least "
_ADVICE = f"{_FORM}{MIN_KEY_LENGTH} printable characters without comma). A good key: openssl rand -hex 24"


def parse_keys(text: str) -> dict[str, bytes]:
    """Client -> SHA-256 of its key, from `name:key,name:key`; none in an empty text. Keys are not kept.

    Raises:
        ConfigError: another form, a short key, a name or a key given twice. The message repeats no key.
    """
    digests: dict[str, bytes] = {}
    for place, part in enumerate((each.strip() for each in text.split(",") if each.strip()), start=1):
        name, separator, key = part.partition(":")
        if not separator or not _NAME.fullmatch(name):
            raise ConfigError(f"{_ADVICE}\nEntry {place} has no name of that form before a colon.")
        if not MIN_KEY_LENGTH <= len(key.encode()) <= MAX_KEY_BYTES or not key.isprintable() or " " in key:
            raise ConfigError(f"{_ADVICE}\nThe key of {name} has {len(key)} characters, or unprintable ones.")
        digest = hashlib.sha256(key.encode()).digest()
        if name in digests or digest in digests.values():
            raise ConfigError(f"{_ADVICE}\nEntry {place} repeats the name {name} or another client's key.")
        digests[name] = digest
    return digests


def read_or_make_key(path: Path) -> str:
    """The random key kept in the file `path`, made on first use, readable by its owner alone.

    Raises:
        ConfigError: the file can be read by others, or holds no key.
        StorageError: it cannot be written or read.
    """
    with storage_errors(path, "keep the API key in"):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        return _read_key(path)


def _make_key(path: Path) -> None:
    """A key file that is there whole or not at all; of several that are made at once, the first stays."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(24) + "\n")
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _read_key(path: Path) -> str:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise ConfigError(
            f"{path} has mode {mode:o}; expected 600, because others could read the key. Delete it and start "
            "again for a new key."
        )
    key = path.read_text(encoding="ascii", errors="replace").strip()
    if len(key) < MIN_KEY_LENGTH or not key.isalnum():
        raise ConfigError(f"{path} holds no key. Delete it and start again for a new one.")
    return key
