"""`run.py catalog FOLDER`: list a folder's pictures in a database, or write its rows as CSV or Parquet."""

from __future__ import annotations

import io
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.commands.command import Command, argument
from orchestration.session.paths import ProjectPaths
from vision.base.cells import as_cell, as_path_cell
from vision.base.errors import ConfigError
from vision.base.files import open_atomically, write_atomically
from vision.base.wording import count_of
from vision.config.data import FolderSource
from vision.config.reading.loading import settle

_ENDINGS = (".csv", ".parquet")


def _run(options: Namespace, paths: ProjectPaths) -> int:
    from vision.data.sources import read_source
    from vision.data.sources.table.catalog import fill_catalog, locate_catalog, read_catalog

    export = options.export and Path(options.export).expanduser()
    if export and export.suffix.lower() not in _ENDINGS:
        raise ConfigError(f"--export {export}: expected a file that ends in {' or '.join(_ENDINGS)}.")
    url = locate_catalog(options.url, paths.data)
    if not (options.folder or export):
        raise ConfigError("catalog: nothing to do. Expected a folder to list, or --export metadata.csv.")
    console = Console(highlight=False)
    if options.folder:
        tree = {"path": options.folder, "group_by": options.group_by}
        settings = settle(FolderSource, tree, Path("catalog"))
        manifest = read_source(settings, paths.data)
        others = fill_catalog(url, manifest)
        console.print(manifest.root, soft_wrap=True, markup=False)
        console.print(_count(Counter(entry.class_name for entry in manifest.entries)))
        for item in manifest.quarantined:
            console.print(f"Left out  {item.path}: {item.reason}", soft_wrap=True, markup=False)
        more = f"; {count_of(others, 'row')} of other folders stay" if others else ""
        name = url.render_as_string(hide_password=True)
        console.print(f"Wrote {count_of(len(manifest.entries), 'row')} to {name}{more}", soft_wrap=True)
        own = f", url: {options.url}" if options.url else ""
        console.print(f"Next  dataset: {{source: catalog{own}}} in a config", soft_wrap=True, markup=False)
    if export:
        rows = [_describe(row) for row in read_catalog(url)]
        _write(export, rows)
        console.print(f"Wrote {count_of(len(rows), 'row')} to {export}", soft_wrap=True, markup=False)
    return 0


def _count(classes: Counter[str]) -> Table:
    table = Table("class", box=SIMPLE_HEAD)
    table.add_column("pictures", justify="right")
    for name, count in sorted(classes.items()):
        table.add_row(Text(name), f"{count:,}")
    return table


def _describe(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it is exported: what the catalogue holds, resolution and aspect ratio."""
    width, height = row["width"], row["height"]
    known = width and height
    own = {
        "filename": row["filename"],
        "path": row["path"],
        "bytes": row["bytes"],
        "resolution": f"{width}x{height}" if known else None,
        "aspect_ratio": round(width / height, 4) if known else None,
    }
    return own | {name: value for name, value in row.items() if name not in own}


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with open_atomically(path) as file:
            pq.write_table(pa.Table.from_pylist(list(rows)), file)
        return
    import csv

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["filename"])
    writer.writeheader()
    for row in rows:
        cells = {name: as_cell(value) for name, value in row.items()}
        writer.writerow(cells | {"path": as_path_cell(row["path"])})
    write_atomically(path, text.getvalue())


CATALOG = Command(
    "catalog",
    "list a folder's pictures in a database, or write its rows as CSV or Parquet",
    _run,
    (
        argument("folder", nargs="?", type=Path, metavar="FOLDER", help="one folder per class, as in train"),
        argument("--url", help="of the database; default: catalog.db in the project's data folder"),
        argument("--group-by", metavar="PATTERN", help="what stays together, as dataset.group_by; or auto"),
        argument("--export", metavar="FILE", help="write all rows to a .csv or .parquet file"),
    ),
)
