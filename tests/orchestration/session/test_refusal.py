"""An error about folders names a command that can be copied as it stands."""

from __future__ import annotations

import pytest

from orchestration.session.refusal import describe_refusal
from vision.base.errors import SourceError

ERROR = SourceError(
    "photos: can be read in two ways. Expected one. "
    "Type --set dataset.layout=class or --set dataset.layout=auto"
)


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["train", "my-fish"], "python run.py train my-fish"),
        (["new", "a", "my photos"], "python run.py new a 'my photos'"),
        (
            ["train", "a", "--set", "dataset.layout=x", "--set", "seed=3"],
            "python run.py train a --set seed=3",
        ),
        (["train", "--set", "seed=3", "a"], "python run.py train --set seed=3 a"),
    ],
)
def test_a_layout_is_told_as_the_whole_command(typed: list[str], command: str) -> None:
    told = "\n".join(line.plain for line in describe_refusal(ERROR, typed))
    assert f"{command} --set dataset.layout=class or {command} --set dataset.layout=auto" in told


@pytest.mark.parametrize(
    ("message", "command"),
    [
        ("dataset.skip_folders: [a b, c]", "new it photos --set 'dataset.skip_folders=[a b, c]'"),
        ("set dataset.follow_links: true to", "new it photos --set dataset.follow_links=true to"),
        ("--set 'dataset.unknown_classes=[x]'", "new it photos --set 'dataset.unknown_classes=[x]'"),
        ("python run.py new NAME a.csv --set dataset.images=b", "new it a.csv --set dataset.images=b"),
    ],
)
def test_before_there_is_a_config_a_setting_is_told_as_the_whole_command(message: str, command: str) -> None:
    told = "\n".join(line.plain for line in describe_refusal(SourceError(message), ["new", "it", "photos"]))
    assert f"python run.py {command}" in told


def test_the_config_that_was_typed_stands_in_the_command() -> None:
    error = SourceError("3000 is taken. Stop it, or choose another: --config NAME.yaml --set serve.port=1")
    told = "\n".join(line.plain for line in describe_refusal(error, typed="my fish.yaml"))
    assert "--config 'my fish.yaml' --set serve.port=1" in told
