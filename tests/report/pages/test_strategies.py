"""The page of one network under each strategy."""

from __future__ import annotations

from pathlib import Path

from report.pages.strategies import describe_strategies, gather_rows, name_by_strategy, write_strategies
from tests.example_evaluation import make_evaluation
from tests.example_story import make_comparison, make_history


def test_the_page_calls_each_candidate_by_its_strategy(tmp_path: Path) -> None:
    names = {"lite0": "two_phase", "lite0_frozen": "frozen"}
    compared = make_comparison(make_evaluation("lite0_frozen"), make_evaluation("lite0"))
    compared = compared.model_copy(update={"reason": "lite0_frozen is best; lite0 cannot be told from it."})
    trained = [
        make_history().model_copy(update={"candidate": name, "strategy": strategy})
        for name, strategy in names.items()
    ]
    comparison, histories = name_by_strategy(compared, trained)
    rows = gather_rows(comparison, histories)
    first, reason, table, _ = describe_strategies(comparison, rows)
    assert "strategy frozen" in first
    assert reason == "frozen is best; two_phase cannot be told from it."
    assert [line.split()[0] for line in table.split("\n")[2:4]] == ["frozen", "two_phase"]
    write_strategies("fish", comparison, histories, rows, tmp_path / "strategies.html")
    assert (
        "lite0" not in (tmp_path / "strategies.html").read_text("utf-8").split("<body>")[1].split("<img")[0]
    )
