"""API keys: `name:key` in TAXON_API_KEYS or a file, or one in a file for the clients of this machine.

`name@predict+feedback:key` is a key that may do no more than it says; without @ a key may do all.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
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


class KeyScope(StrEnum):
    """What a key may be used for; /model and the other descriptions are for every key."""

    PREDICT = "predict"
    FEEDBACK = "feedback"
    METRICS = "metrics"


_ADVICE = (
    f"{_FORM}{MIN_KEY_LENGTH} printable characters without comma). A key for some things alone: name@"
    f"{'+'.join(KeyScope)}:key, or fewer of these. A good key: openssl rand -hex 24"
)


@dataclass(frozen=True)
class ApiKey:
    """A key as far as it is kept: the SHA-256 of it, and what it may be used for."""

    digest: bytes = field(repr=False)
    scopes: frozenset[KeyScope] = frozenset(KeyScope)


def read_keys_file(path: Path) -> str:
    """Keys of a file, an entry a line or several with commas; `#` begins a comment line.

    Raises:
        ConfigError: it cannot be read, or everybody can read it.
    """
    try:
        if path.stat().st_mode & 0o007:
            raise ConfigError(
                f"TAXON_API_KEYS_FILE: {path} is open to everybody; expected mode 600 or 640. Correct it: "
                f"chmod o= {path}"
            )
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"TAXON_API_KEYS_FILE: {path} cannot be read ({error}). Expected a text file with a line "
            "name:key for each client."
        ) from error
    return ",".join(line for line in lines if not line.lstrip().startswith("#"))


def parse_keys(text: str) -> dict[str, ApiKey]:
    """Client -> its key, from `name:key,name@scope+scope:key`; none in an empty text.

    Raises:
        ConfigError: another form, a short key, a name or a key given twice. The message repeats no key.
    """
    keys: dict[str, ApiKey] = {}
    for place, part in enumerate((each.strip() for each in text.split(",") if each.strip()), start=1):
        head, separator, key = part.partition(":")
        name, limited, scopes = head.partition("@")
        if not separator or not _NAME.fullmatch(name):
            raise ConfigError(f"{_ADVICE}\nEntry {place} has no name of that form before a colon.")
        if not MIN_KEY_LENGTH <= len(key.encode()) <= MAX_KEY_BYTES or not key.isprintable() or " " in key:
            raise ConfigError(f"{_ADVICE}\nThe key of {name} has {len(key)} characters, or unprintable ones.")
        given = frozenset(scopes.split("+")) if limited else frozenset(KeyScope)
        if not given <= set(KeyScope):
            raise ConfigError(f"{_ADVICE}\nThe scopes of {name} are {scopes[:60]!r}.")
        digest = hashlib.sha256(key.encode()).digest()
        if name in keys or any(digest == each.digest for each in keys.values()):
            raise ConfigError(f"{_ADVICE}\nEntry {place} repeats the name {name} or another client's key.")
        keys[name] = ApiKey(digest, frozenset(KeyScope(each) for each in given))
    return keys


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
