"""The card, the charts and the tables tell what the run found, of a refused model too."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest

from report.take_away.card import write_card
from report.take_away.charts import list_plots
from report.take_away.tables import MISTAKE_COLUMNS, RESULT_COLUMNS, write_mistakes, write_results
from tests.example_story import evaluated, make_story
from tests.vision.bundle.test_assembly import make_contract
from tests.vision.decision.test_predictor import make_detector, make_rule
from vision.base.outputs import ModelOutputs
from vision.data.records import Split
from vision.gate.records import Verdict

STORY = make_story()
TEST = evaluated(STORY)


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("verdict", Verdict)
def test_the_card_says_whether_the_model_is_in_production_and_what_it_does(verdict: Verdict) -> None:
    assert STORY.promotion is not None
    story = replace(STORY, promotion=STORY.promotion.model_copy(update={"verdict": verdict}))
    card = write_card(story, make_contract().model_copy(update={"class_names": TEST.class_names}))
    assert ("is not in production" in card) == (verdict is not Verdict.PROMOTED)
    for name in TEST.class_names:
        assert f"| {name} | " in card
    assert "python predict.py" in card
    assert "of 100 new pictures" in card
    assert "&amp;" not in card


def test_a_run_that_ended_early_has_the_charts_that_it_came_to() -> None:
    assert {"confusion", "class_counts", "reliability"} <= list_plots(STORY).keys()
    early = list_plots(replace(STORY, test=None, rule=None, promotion=None))
    assert "class_counts" in early
    assert "confusion" not in early


def test_results_have_a_row_for_each_class_held_out_class_and_kind_of_stranger() -> None:
    rows = read(write_results(TEST))
    assert tuple(rows[0]) == RESULT_COLUMNS
    known = [row for row in rows if row["kind"] == "known"]
    assert [row["class"] for row in known] == list(TEST.class_names)
    assert {row["kind"] for row in rows} == {"known", "look-alikes", "strangers"}
    for row in known:
        shares = [float(row[name]) for name in ("accepted", "to_a_person", "called_unknown")]
        assert sum(shares) == pytest.approx(1.0, abs=2e-4)


def test_every_mistake_on_test_is_listed_with_its_file_the_surest_first() -> None:
    manifest, splits = STORY.manifest, STORY.splits
    assert manifest is not None
    assert splits is not None
    manifest = manifest.model_copy(
        update={
            "entries": tuple(each.model_copy(update={"path": f"={each.path}"}) for each in manifest.entries)
        }
    )
    rows = splits.rows(Split.TEST)
    labels, k = splits.labels()[rows], len(splits.class_names)
    logits = np.zeros((len(rows), k), np.float32)
    logits[np.arange(len(rows)), labels] = 5.0
    for place, strength in ((3, 7.0), (5, 9.0)):
        logits[place, (labels[place] + 1) % k] = strength
    outputs = ModelOutputs(
        rows=rows,
        logits=logits,
        embeddings=np.zeros((len(rows), 2), np.float32),
        quality=np.zeros((len(rows), 8), np.float32),
        kernel=np.zeros((2, k), np.float32),
        bias=np.zeros(k, np.float32),
    )
    rule = make_rule(names=splits.class_names)
    found = read(write_mistakes(manifest, splits, outputs, rule, make_detector(k)))
    assert tuple(found[0]) == MISTAKE_COLUMNS
    assert [row["path"] for row in found] == [f"'{manifest.entries[int(rows[i])].path}" for i in (5, 3)]
    assert [row["class"] for row in found] == [splits.class_names[labels[i]] for i in (5, 3)]
    assert all(row["named"] != row["class"] for row in found)
