"""The page is served on this machine alone, loads nothing from elsewhere, and refuses other sites."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from orchestration.servers.page import OPTIONS, serve_page
from orchestration.session.paths import ProjectPaths
from tests.orchestration.test_store import wait_for
from vision.base.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]


def ask(port: int, path: str, headers: dict[str, str]) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


@pytest.mark.slow
def test_the_page_answers_this_machine_and_refuses_other_sites(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = tmp_path / "said.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "run.py", "ui", "--port", str(port)],
            cwd=ROOT,
            env=os.environ | {"TAXON_STATE": str(tmp_path)},
            stderr=output,
            stdout=output,
        )
    try:
        wait_for(lambda: f"Page http://127.0.0.1:{port}" in said.read_text(), process)
        status, page = ask(port, "/", {})
        assert status == 200
        assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page)
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        assert ask(port, "/", {"Host": f"evil.example:{port}"})[0] == 403
        assert ask(port, "/_stcore/stream", upgrade | {"Origin": "https://evil.example"})[0] == 403
        with socket.create_connection(("127.0.0.1", port)) as own:
            lines = [f"{name}: {value}" for name, value in upgrade.items()]
            lines += [f"Host: 127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}"]
            own.sendall("\r\n".join(["GET /_stcore/stream HTTP/1.1", *lines, "", ""]).encode())
            assert own.recv(64).startswith(b"HTTP/1.1 101 ")
        again = subprocess.run(
            process.args,
            cwd=ROOT,
            env=os.environ | {"TAXON_STATE": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 2
        assert f"Port {port} is taken by this project's page (process {process.pid}" in again.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == -signal.SIGTERM
    finally:
        process.kill()
        process.wait()


def test_the_page_reports_to_nobody_and_shows_no_traceback() -> None:
    assert OPTIONS["browser.gatherUsageStats"] is False
    assert OPTIONS["client.showErrorDetails"] == "none"


def test_a_number_that_is_no_port_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAXON_STATE", str(tmp_path))
    with pytest.raises(ConfigError, match="expected 1 to 65535"):
        serve_page(ProjectPaths.of(ROOT), 70_000)
