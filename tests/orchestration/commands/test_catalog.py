"""`run.py catalog`: what a person types, sees and gets."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import run
from tests.vision.data.sources.test_conformance import draw


def test_a_folder_is_listed_and_its_metadata_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "photos")
    (tmp_path / "photos/amber/broken.png").write_bytes(b"no picture")
    url = ["--url", f"sqlite:///{tmp_path / 'c.db'}"]
    assert run.main(["catalog", str(tmp_path / "photos"), *url, "--export", str(tmp_path / "m.csv")]) == 0
    told = capsys.readouterr().out
    assert "6 rows" in told
    assert "amber/broken.png" in told
    assert run.main(["catalog", *url, "--export", str(tmp_path / "m.parquet")]) == 0
    with (tmp_path / "m.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "m.parquet").to_pylist()
    assert [row["path"] for row in rows] == [row["path"] for row in table]
    first = table[0]
    assert first["filename"] == "i0_frame0.png"
    assert first["bytes"] == Path(first["path"]).stat().st_size
    assert first["resolution"] == f"{first['width']}x{first['height']}"
    assert (first["type"], first["label"]) == ("PNG", "amber")
    assert float(rows[0]["aspect_ratio"]) == pytest.approx(first["width"] / first["height"], abs=1e-4)


def test_nothing_to_do_and_another_ending_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["catalog"]) == 2
    assert run.main(["catalog", "--export", str(tmp_path / "m.xlsx")]) == 2
    assert ".parquet" in capsys.readouterr().err
    assert run.main(["catalog", str(tmp_path), "--group-by", "fish("]) == 2
    assert "'fish(' is not a regular expression" in capsys.readouterr().err
