"""Keys: which forms are read, and a file of its own for the local client."""

from __future__ import annotations

import hashlib
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from serving.api.keys import MAX_KEY_BYTES, KeyScope, parse_keys, read_or_make_key
from serving.api.settings import ServiceSettings
from tests.serving.toy import KEY, KEYS
from vision.base.errors import ConfigError


@pytest.mark.parametrize(
    "text",
    [
        "0123456789abcdef",
        "team:short",
        "Team:0123456789abcdef",
        ":0123456789abcdef",
        "team:0123456789 abcdef",
        "team:0123456789\tabcdef",
        "team:0123456789abcdef,team:fedcba9876543210",
        "team:0123456789abcdef,other:0123456789abcdef",
        "team:" + "k" * (MAX_KEY_BYTES + 1),
        "team@all:0123456789abcdef",
        "team@:0123456789abcdef",
        "team@predict+:0123456789abcdef",
    ],
)
def test_another_form_is_refused_without_repeating_a_key(text: str) -> None:
    with pytest.raises(ConfigError, match="expected name:key,name:key") as caught:
        parse_keys(text)
    for part in text.split(","):
        secret = part.partition(":")[2]
        assert not secret or secret not in str(caught.value)


def test_no_text_is_no_client_and_the_keys_are_not_kept() -> None:
    assert not parse_keys("")
    assert not parse_keys(" , ")
    assert list(parse_keys(KEYS)) == ["team", "other"]
    assert KEY not in repr(parse_keys(KEYS))


def test_a_key_may_be_for_some_things_alone_and_a_colon_in_it_is_its_own() -> None:
    keys = parse_keys(
        "camera@predict:0123456789abcdef,people@predict+feedback:fedcba98:76543210,all:abcdefghijklmnop"
    )
    assert keys["camera"].scopes == {KeyScope.PREDICT}
    assert keys["people"].scopes == {KeyScope.PREDICT, KeyScope.FEEDBACK}
    assert keys["people"].digest == hashlib.sha256(b"fedcba98:76543210").digest()
    assert keys["all"].scopes == set(KeyScope)


def test_keys_of_a_file_are_added_unless_everybody_could_read_them(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# of the reef\ncamera@predict:0123456789abcdef\n\npeople:fedcba9876543210\n")
    path.chmod(0o640)
    settings = ServiceSettings(api_keys=SecretStr(KEYS), api_keys_file=path)
    assert list(settings.read_keys()) == ["team", "other", "camera", "people"]
    assert settings.places_per_key < settings.max_in_flight
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="open to everybody"):
        settings.read_keys()


def test_a_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "service" / "api_key"
    key = read_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make_key(path) == key == path.read_text().strip()
    assert list(parse_keys(f"local:{key}")) == ["local"]
    assert read_or_make_key(tmp_path / "another") != key


def test_a_key_file_that_others_can_read_or_without_a_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "api_key"
    read_or_make_key(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="mode 640; expected 600"):
        read_or_make_key(path)
    path.chmod(0o600)
    path.write_text("")
    with pytest.raises(ConfigError, match="holds no key"):
        read_or_make_key(path)


def test_first_starts_at_once_agree_on_one_whole_key_and_leave_nothing_else(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for number in range(40):
            path = tmp_path / str(number) / "key"
            assert len(set(pool.map(read_or_make_key, [path] * 8))) == 1
            assert [each.name for each in path.parent.iterdir()] == ["key"]
