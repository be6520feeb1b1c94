"""Settings come from TAXON_* variables, and a wrong one is named without its value."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from serving.api.settings import ServiceSettings, read_settings
from vision.base.errors import ConfigError


def test_without_variables_the_defaults_hold() -> None:
    assert read_settings({"HOME": "/root", "TAXON_STATE": "/elsewhere"}) == ServiceSettings()


def test_every_field_is_read_from_its_own_variable() -> None:
    settings = read_settings(
        {"TAXON_MAX_BODY_BYTES": "2000", "TAXON_KEEP_IMAGES": "true", "TAXON_LOG_URL": "sqlite:///x.db"}
    )
    assert settings.max_body_bytes == 2000
    assert settings.keep_images is True
    assert settings.log_url is not None
    assert settings.log_url.get_secret_value() == "sqlite:///x.db"


@pytest.mark.parametrize(
    ("keys", "places"),
    [("", 32), ("local,deployment-check", 32), ("a,b", 24), ("a, b,deployment-check", 24)],
)
def test_one_key_of_several_may_hold_three_quarters_of_the_places(keys: str, places: int) -> None:
    text = ",".join(f"{name}:{name.strip():x>16}" for name in keys.split(",") if name)
    assert ServiceSettings(api_keys=SecretStr(text)).places_per_key == places


def test_all_wrong_variables_are_named_at_once_and_no_secret_is_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(
            {
                "TAXON_MAX_BODY_BYTES": "many",
                "TAXON_THREADS": "0",
                "TAXON_API_KEYS": "team:secret-secret-secret",
            }
        )
    message = str(caught.value)
    assert "TAXON_MAX_BODY_BYTES" in message
    assert "TAXON_THREADS" in message
    assert "secret" not in message


def test_printing_settings_shows_no_secret() -> None:
    settings = read_settings(
        {"TAXON_API_KEYS": "team:hidden-hidden", "TAXON_LOG_URL": "postgresql://u:hidden@h/d"}
    )
    assert "hidden" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()
