"""How often a key may ask, and where that is counted."""

from __future__ import annotations

import logging
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from limits import parse
from limits.storage import storage_from_string
from limits.strategies import FixedWindowRateLimiter
from pydantic import SecretStr

from serving.api.keys import LOCAL_CLIENT
from serving.api.requests.rates import RateLimits, SqliteStorage
from serving.api.settings import ServiceSettings, read_settings
from tests.serving.api.client import CHECK_KEY, WITH_KEY, check_problem, predict, serve
from tests.serving.toy import OTHER_KEY, RED, paint
from tests.vision.training.nets.toy import KERAS_WARNINGS
from vision.base.errors import ConfigError

pytestmark = [pytest.mark.slow, KERAS_WARNINGS]


def test_a_key_has_its_share_of_a_minute_and_fewer_pictures_and_other_keys_their_own() -> None:
    limits = RateLimits(ServiceSettings(rate_limit="5/minute", predict_rate_limit="2/minute"))
    with serve(rates=limits) as client:
        first = predict(client, paint(RED))
        assert first.headers["ratelimit-policy"] == '"all";q=5;w=60, "predict";q=2;w=60'
        assert first.headers["ratelimit"].startswith('"all";r=4;t=')
        assert predict(client, paint(RED)).status_code == 200
        refused = predict(client, paint(RED))
        check_problem(refused, 429, "too-often")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert [client.get("/model", headers=WITH_KEY).status_code for _ in range(3)] == [200, 200, 429]
        assert client.get("/model", headers={"X-API-Key": OTHER_KEY}).status_code == 200
        free = [client.get("/model", headers={"X-API-Key": CHECK_KEY}) for _ in range(7)]
        assert {each.status_code for each in free} == {200}
        assert "ratelimit" not in client.get("/livez").headers


@pytest.mark.parametrize(
    ("settings", "local", "other"),
    [
        (ServiceSettings(), [], [60, 30]),
        (ServiceSettings(rate_limit="none"), [], [30]),
        (ServiceSettings(rate_limit="9/second", predict_rate_limit="none"), [9], [9]),
    ],
)
def test_the_key_of_this_machine_is_bounded_where_the_settings_say_so_alone(
    settings: ServiceSettings, local: list[int], other: list[int]
) -> None:
    limits = RateLimits(settings)
    for client, amounts in ((LOCAL_CLIENT, local), ("camera", other)):
        assert [each.amount for each in limits.find_limits(client, about_pictures=True).values()] == amounts


def test_workers_of_a_machine_count_together_in_sqlite_and_a_window_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'counts.sqlite'}"
    limit, storages = parse("40/minute"), [SqliteStorage(url) for _ in range(4)]
    admitted: list[bool] = []

    def ask(storage: SqliteStorage) -> None:
        admitted.extend(FixedWindowRateLimiter(storage).hit(limit, "team") for _ in range(20))

    threads = [threading.Thread(target=ask, args=(each,)) for each in storages]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(admitted), sum(admitted)) == (80, 40)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert FixedWindowRateLimiter(storages[0]).hit(limit, "team")
    assert storages[1].get(limit.key_for("team")) == 1


def test_where_the_shared_counts_fail_each_worker_counts_alone_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stored = SecretStr(f"sqlite:///{tmp_path / 'counts.sqlite'}")
    limits = RateLimits(ServiceSettings(predict_rate_limit="1/minute", rate_limit_storage=stored))

    def fail(*_: object) -> float:
        raise sqlite3.OperationalError("database is locked")

    with serve(rates=limits) as client, caplog.at_level(logging.ERROR):
        monkeypatch.setattr(SqliteStorage, "_ask", fail)
        assert [predict(client, paint(RED)).status_code for _ in range(3)] == [200, 429, 429]
    assert caplog.text.count("database is locked") == 1


@pytest.fixture
def redis_server() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Of a Redis server of the test's own, on a free port, which keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
        stdout=subprocess.DEVNULL,
    )
    url = f"redis://127.0.0.1:{port}"
    deadline = time.monotonic() + 10
    while not storage_from_string(url).check():
        assert server.poll() is None, "redis-server ended"
        assert time.monotonic() < deadline, "redis-server does not answer"
        time.sleep(0.05)
    yield url, server
    server.kill()
    server.wait(10)


def test_services_count_together_in_redis_and_alone_where_it_is_gone(
    redis_server: tuple[str, subprocess.Popen[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    url, server = redis_server
    settings = ServiceSettings(predict_rate_limit="3/minute", rate_limit_storage=SecretStr(url))
    with serve(rates=RateLimits(settings)) as one, serve(rates=RateLimits(settings)) as other:
        codes = [predict(each, paint(RED)).status_code for each in (one, other, one, other, one)]
        assert codes == [200, 200, 200, 429, 429]
        server.send_signal(signal.SIGSTOP)  # it takes connections, and answers nobody
        with caplog.at_level(logging.ERROR):
            assert [predict(one, paint(RED)).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert caplog.text.count("counted by each worker alone") == 1


@pytest.mark.parametrize("url", ["nowhere://", "sqlite:////no/such/folder/x"])
def test_where_counts_cannot_be_kept_is_told_before_anybody_asks(url: str) -> None:
    with pytest.raises(ConfigError, match="TAXON_RATE_LIMIT_STORAGE"):
        RateLimits(ServiceSettings(rate_limit_storage=SecretStr(url)))


@pytest.mark.parametrize("text", ["often", "60/minute;1000/day"])
def test_what_is_not_one_limit_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="TAXON_RATE_LIMIT:"):
        read_settings({"TAXON_RATE_LIMIT": text})


def test_an_address_that_is_refused_is_not_repeated_with_its_password() -> None:
    stored = SecretStr("rediss2://user:hidden-word@host:6379")
    with pytest.raises(ConfigError) as raised:
        RateLimits(ServiceSettings(rate_limit_storage=stored))
    assert "hidden-word" not in str(raised.value)
