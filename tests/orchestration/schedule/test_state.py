"""The state comes back as it was written; what is no state is set aside, told of, and stops nothing."""

from pathlib import Path

import pytest

from orchestration.schedule.state import JobState, ScheduleState, StateFile
from tests.orchestration.schedule.schedule_toy import BEGIN
from vision.base.errors import StorageError


def test_a_damaged_state_is_set_aside_told_and_counts_from_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, content in enumerate(['{"schema_version": 1, "jobs": {"wat', "[]", '{"jobs": {}}', "\x00"]):
        file = StateFile(tmp_path / str(number) / "state.json")
        file.path.parent.mkdir()
        file.path.write_text(content, encoding="utf-8")
        with pytest.raises(StorageError, match="does not hold a scheduler's state"):
            file.read()
        assert file.read_or_set_aside(BEGIN) == ScheduleState()
        aside = file.path.with_name("state.json.damaged-20260504-120000")
        assert aside.read_text(encoding="utf-8") == content
        assert (
            "It was set aside as state.json.damaged-20260504-120000. Every job counts from now" in caplog.text
        )


def test_a_state_of_a_newer_program_is_refused_and_stays(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json")
    file.path.write_text('{"schema_version": 2, "jobs": [1]}', encoding="utf-8")
    with pytest.raises(StorageError, match=r"schema version 2; this program reads up to 1\. Update Taxon"):
        file.read_or_set_aside(BEGIN)
    assert file.path.exists()


def test_a_state_that_is_written_comes_back(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "folder" / "state.json")
    state = ScheduleState().with_job("watch", JobState(cron="0 3 * * *", timezone="UTC", settled=BEGIN))
    file.write(state)
    assert file.read() == state
