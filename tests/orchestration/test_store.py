"""On a real ZenML store: dead runs are reaped and reused, champions outlive cleaning, the dashboard is local.

One store for all tests: `toy.py` plays a scenario in a process of its own, in which a first
run is killed with -9 in its second step, and writes down what it saw.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.orchestration.imports import run_and_list_imports
from tests.processes import module_command, run_python
from tests.signals import heeding_signals

pytestmark = [pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
TOY = module_command("tests.orchestration.toy")
SERVE = (
    "from tests.orchestration.toy import PATHS; from orchestration.servers.dashboard import serve_dashboard; "
    "import sys; serve_dashboard(PATHS, int(sys.argv[1]))"
)


@dataclass(frozen=True)
class Store:
    """A project home with a used store, and what its scenario saw."""

    home: Path
    seen: dict[str, Any]

    def environment(self) -> dict[str, str]:
        """Variables of a process on this store."""
        return os.environ | {"TAXON_STATE": str(self.home)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("home")
    environment = os.environ | {"TAXON_STATE": str(home)}
    subprocess.run([*TOY, "scenario", str(home / "seen.json")], cwd=ROOT, env=environment, check=True)
    return Store(home, json.loads((home / "seen.json").read_text(encoding="utf-8")))


def wait_for(condition: Any, process: subprocess.Popen[Any], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the process ended before its time"
        assert time.monotonic() < end, "the process did not get there in time"
        time.sleep(0.05)


# --- reaper ---------------------------------------------------------------------------------------------


def test_killed_run_is_marked_failed_once_and_its_finished_step_is_reused(store: Store) -> None:
    assert store.seen["reaped"] == ["killed"]
    assert store.seen["reaped_again"] == []
    assert store.seen["killed_status"] == "failed"
    assert store.seen["killed_steps"] == {"ingest": "completed", "compare": "failed"}
    assert store.seen["all_finished_untouched"] == []
    assert store.seen["done_is_not_dead"] == [[], "completed"]
    steps = store.seen["after_steps"]
    assert (steps["ingest"], steps["compare"]) == ("cached", "completed")


def test_newest_run_without_a_run_folder_is_found(store: Store) -> None:
    assert store.seen["unwritten"] == [[], ["after"]]


# --- history --------------------------------------------------------------------------------------------


def test_history_lists_runs_newest_first_with_winner_and_verdict(store: Store) -> None:
    assert store.seen["runs"] == [
        ["last", "completed", "cnn_d", "kept"],
        ["later", "completed", "cnn_d", "kept"],
        ["crowned", "completed", "cnn_b", "promoted"],
        ["after", "completed", "cnn_a", "kept"],
        ["killed", "failed", "", ""],
    ]
    ((model, version, digest),) = store.seen["champions"]
    assert (model, version, len(digest)) == ("toy", "1", 64)
    assert store.seen["read_alike"]


def test_runs_are_listed_without_importing_zenml(store: Store) -> None:
    said = run_and_list_imports(["runs"], store.home)
    assert "promoted" in said
    assert "heavy: []" in said


# --- disk -----------------------------------------------------------------------------------------------


def test_clean_keeps_the_newest_the_champions_run_and_the_run_that_the_newest_reuses(store: Store) -> None:
    assert store.seen["left_runs"] == ["crowned", "last", "later"]
    assert store.seen["freed"][1] == 2
    assert store.seen["freed"][0] > 2 * 1000
    assert "Kept 3 runs: the newest 1, and beyond those 1 of models in production" in store.seen["told"]
    assert store.seen["left_of_champion"] == ["later", "recrowned"]
    assert "Kept 2 runs: the newest 0, and beyond those 2" in store.seen["told_of_none"]


def test_clean_removes_what_only_removed_runs_and_killed_steps_left(store: Store) -> None:
    assert store.seen["left_folders"] == ["crowned", "last", "later", "latest", "notes"]
    assert store.seen["left_images"] == ["b" * 32, "d" * 32]
    painted = ["reef-" + "b" * 16, "reef-" + "d" * 16]
    assert store.seen["left_data"] == ["photos", "photos.csv", *painted]
    assert store.seen["orphan_left"] is False


def test_champion_and_cache_survive_cleaning(store: Store) -> None:
    assert store.seen["champion_bundle"] == "cnn_b"
    assert store.seen["champion_splits"] == ["cod"]
    steps = store.seen["recrowned_steps"]
    assert {steps[name] for name in ("ingest", "validate", "compare", "assemble")} == {"cached"}
    assert store.seen["materializers"] == [
        "FilesMaterializer",
        "FolderMaterializer",
        "RecordMaterializer",
    ]  # none fell to pickle


def test_a_step_whose_result_is_lost_runs_again_and_is_cached_from_then_on(store: Store) -> None:
    lost, found, anew = store.seen["lost"]
    assert (lost["ingest"], lost["compare"]) == ("cached", "completed")
    assert lost["assemble"] == "cached"  # the comparison that was made again is equal
    assert {found[name] for name in ("ingest", "validate", "compare", "assemble")} == {"cached"}
    assert set(anew.values()) == {"completed"}


# --- dashboard ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dashboard:
    """A dashboard that serves the store."""

    port: int
    process: subprocess.Popen[str]

    def ask(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body of a GET."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@pytest.fixture(scope="module")
def dashboard(store: Store) -> Iterator[Dashboard]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", SERVE, str(port)]
    environment = store.environment()
    with (
        heeding_signals(),
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process,
    ):
        try:
            assert process.stderr is not None
            said = ""
            while f"http://127.0.0.1:{port}" not in said:
                said = process.stderr.readline()
                assert said, "the dashboard ended before it answered"
            yield Dashboard(port, process)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()


def test_dashboard_serves_its_page_and_the_stores_runs(dashboard: Dashboard) -> None:
    status, page = dashboard.ask("/")
    assert status == 200
    assert b"<html" in page
    status, answer = dashboard.ask("/api/v1/runs?size=50")
    assert status == 200
    names = {run["body"].get("name") or run.get("name") for run in json.loads(answer)["items"]}
    assert {"later", "recrowned"} <= names


def test_dashboard_has_the_welcome_survey_behind_it(dashboard: Dashboard) -> None:
    _, answer = dashboard.ask("/api/v1/current-user")
    assert json.loads(answer)["metadata"]["user_metadata"]["finished_onboarding_survey"] is True


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "127.0.0.1"}, {"Origin": "http://evil.example"}, {"Origin": "null"}],
)
def test_dashboard_refuses_foreign_hosts_and_origins(dashboard: Dashboard, headers: dict[str, str]) -> None:
    assert dashboard.ask("/api/v1/runs", **headers)[0] == 403


def test_dashboard_answers_its_own_origin_by_both_names(dashboard: Dashboard) -> None:
    for name in ("127.0.0.1", "localhost"):
        own = f"{name}:{dashboard.port}"
        assert dashboard.ask("/api/v1/info", Host=own, Origin=f"http://{own}")[0] == 200


def test_second_dashboard_on_the_port_is_refused_and_told_whose_it_is(
    dashboard: Dashboard, store: Store
) -> None:
    second = run_python("-c", SERVE, str(dashboard.port), code=None, TAXON_STATE=str(store.home))
    assert second.returncode != 0
    assert f"this project's dashboard (process {dashboard.process.pid}" in second.stderr


def test_dashboard_stops_on_ctrl_c_and_leaves_the_client_on_its_own_store(
    dashboard: Dashboard, store: Store
) -> None:
    dashboard.process.send_signal(signal.SIGINT)
    assert dashboard.process.wait(timeout=30) == 0
    config = (store.home / "state" / "zenml" / "config.yaml").read_text(encoding="utf-8")
    assert "http://" not in config
