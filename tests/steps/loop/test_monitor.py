"""The step on a bundle of which only what monitoring reads is real; Evidently really draws."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from serving.log.prediction_log import PredictionLog
from serving.log.verdicts import list_verdicts
from steps.loop.monitor import monitor
from tests.serving.answers import make_entry
from tests.vision.drift.test_monitoring import MSP, RULE, make_span
from tests.vision.drift.test_verdict import REFERENCE, SETTINGS, Sample, make_window
from tests.vision.toy import make_contract
from vision.base.errors import BundleError, WindowError
from vision.base.files import digest_file
from vision.bundle.assembly import write_bundle
from vision.bundle.records import HEAD_NAME, Bundle, ExportedGraphs
from vision.config.export import Precision
from vision.drift.records import DriftPage, DriftReport, DriftStatus, MonitoredWindow
from vision.drift.window import Window


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    """Reference, detector and rule; the graph, which monitoring never runs, is a few bytes."""
    folder = tmp_path / "graphs"
    folder.mkdir()
    names = (ExportedGraphs.file_name(Precision.FP32), HEAD_NAME)
    for name in names:
        (folder / name).write_bytes(b"not run")
    graphs = ExportedGraphs(
        root=folder,
        files={name: digest_file(folder / name) for name in names},
        candidate="tiny",
        image_size=32,
        num_parameters=9,
    )
    contract = make_contract(RULE)
    return write_bundle(tmp_path / "bundle", graphs, MSP, REFERENCE, contract)


def run(
    window: Window, bundle: Bundle, log: str = "sqlite:///gone.sqlite"
) -> tuple[DriftReport, MonitoredWindow, DriftPage]:
    span = make_span(len(window.times))
    judged: tuple[DriftReport, MonitoredWindow, DriftPage] = monitor.entrypoint(
        window, span, bundle, bundle.digest, SETTINGS, 5, log
    )
    return judged


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Evidently's imports, of NumPy and litestar
@pytest.mark.parametrize(("brightness", "status"), [(0.0, DriftStatus.QUIET), (1.5, DriftStatus.DRIFT)])
def test_a_window_is_judged_and_drawn_by_evidently_on_a_page_that_loads_nothing_and_judges_nothing(
    bundle: Bundle, brightness: float, status: DriftStatus
) -> None:
    report, monitored, page = run(make_window(Sample(1, 40, 3, brightness=brightness)), bundle)
    assert report.status is monitored.status is status
    assert list(page.files) == [DriftPage.FILE_NAME]
    assert digest_file(page.path(DriftPage.FILE_NAME)) == page.files[DriftPage.FILE_NAME]
    html = page.path(DriftPage.FILE_NAME).read_text()
    assert "drift" not in re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL).lower()
    assert "Drift is" not in html
    assert "p_value" not in html
    assert all(name in html for name in ("brightness", "confidence", "unknown_score", "class_name"))
    loaded = re.findall(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?(https?:)?//""", html)
    assert not loaded
    assert not re.search(r"""(@import\s*|url\()["']?https?:""", html)


def test_too_little_is_judged_insufficient_not_drawn_and_written_beside_the_answers(
    bundle: Bundle, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/log.sqlite"
    with closing(PredictionLog(url)) as log:
        log.append(make_entry())
        report, monitored, page = run(make_window(Sample(1, 9, 3)), bundle, url)
        (noted,) = list_verdicts(log, bundle.digest, 9)
    assert (noted.status, noted.reasons) == (DriftStatus.INSUFFICIENT, report.reasons)
    assert report.status is monitored.status is DriftStatus.INSUFFICIENT
    assert page.files == {}


def test_a_log_that_refuses_the_verdict_costs_no_report(
    bundle: Bundle, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "log.sqlite"
    path.write_bytes(b"no database" * 99)
    report, monitored, _ = run(make_window(Sample(1, 9, 3)), bundle, f"sqlite:///{path}")
    assert report.status is monitored.status is DriftStatus.INSUFFICIENT
    assert "log.sqlite" in caplog.text
    assert "does not tell this verdict" in caplog.text


def test_answers_of_another_network_are_refused(bundle: Bundle) -> None:
    window = make_window(Sample(1, 40, 3))
    other = Window(**{**vars(window), "embeddings": np.zeros((len(window.times), 9))})
    with pytest.raises(WindowError, match="embeddings"):
        run(other, bundle)


def test_a_changed_reference_is_refused(bundle: Bundle) -> None:
    path = bundle.path(Bundle.REFERENCE_NAME)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"reference\.npz has been changed"):
        run(make_window(Sample(1, 40, 3)), bundle)
