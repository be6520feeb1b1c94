"""From a folder or a CSV file, as it was typed, to the settings of a source."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vision.base.errors import ConfigError
from vision.config.data import FolderSource
from vision.config.reading.loading import settle
from vision.config.run import RunConfig
from vision.config.sources.tables import CsvSource
from vision.data.sources.finding import find_root
from vision.data.sources.table.columns import recognise_columns

_SETTABLE = "dataset."
_TABLES = (".csv", ".tsv", ".tab", ".txt")


def settle_source(
    name: str, typed: str, config: Path, overrides: Sequence[str] = ()
) -> FolderSource | CsvSource:
    """The settings of this folder or table as data set; a table's columns are named in them.

    Args:
        name: of the project.
        typed: the folder or the table.
        config: the file that messages name.
        overrides: `dataset.KEY=VALUE`, how it is read.

    Raises:
        ConfigError: the name has another form; an override is of something else; a file is no table.
        SourceError: the table cannot be read, or allows two readings.
    """
    other = next((each for each in overrides if not each.startswith(_SETTABLE)), None)
    if other is not None:
        raise ConfigError(
            f"--set {other}: does not say how the pictures are read. Expected dataset.KEY=VALUE, such as "
            f"dataset.layout=place/class. Change other settings in {config}, once it is written."
        )
    path = (Path(typed).expanduser() if typed.startswith("~") else Path(typed)).absolute()
    path = path.resolve() if ".." in path.parts else path  # the config is read from wherever one stands
    is_table = not path.is_dir() and (path.is_file() or path.suffix.lower() in _TABLES)
    if is_table and path.suffix.lower() not in _TABLES:
        raise ConfigError(
            f"{path}: is a file of another kind. Expected a folder of pictures, or a table of paths and "
            f"labels ({', '.join(_TABLES)}). Save a table as CSV; other sources: docs/sources.md"
        )
    least = {"backbone": "efficientnet_lite0", "weights": "auto", "strategy": "frozen"}
    tree = {
        "name": name,
        "dataset": {"source": "csv" if is_table else "folder", "path": str(path)},
        "training": {"candidates": {"efficientnet_lite0": least}},
    }
    dataset = settle(RunConfig, tree, config, overrides).dataset
    if not isinstance(dataset, FolderSource | CsvSource):
        raise ConfigError(
            f"{typed} is read as what it is, a folder or a table. Expected no dataset.source. Leave it out."
        )
    if isinstance(dataset, CsvSource):
        return recognise_columns(dataset)
    find_root(path, "Expected a folder of photographs, or a table of paths and labels. Correct the path.")
    return dataset
