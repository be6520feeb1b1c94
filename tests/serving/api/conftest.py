"""A service of the toy bundle that keeps a log, one for each file of tests that asks for no other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from tests.serving.api.client import logged_toy, serve


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with serve(load=logged_toy(tmp_path_factory.mktemp("log") / "log.sqlite")) as made:
        yield made
