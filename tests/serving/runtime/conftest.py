"""One Bento of the toy for all tests of a file."""

from __future__ import annotations

import pytest

from serving.runtime.bento import build_in_store
from serving.runtime.running import BuiltBento, ServiceFolder
from tests.serving.toy import make_bundle


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ServiceFolder, BuiltBento]:
    """The toy's Bento as version 3, in a project of its own."""
    folder, bundle = ServiceFolder(tmp_path_factory.mktemp("home")), make_bundle()
    return folder, build_in_store(folder, bundle.root, bundle.digest, "3")
