"""Files for containers, clusters and systemd: what they name must be there, in the product as it is."""

from __future__ import annotations

import json
import platform
import re
import shlex
import subprocess
import sys
from http import HTTPStatus
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from orchestration.commands.registry import COMMANDS
from pipelines.names import PipelineName
from serving.api.endpoints import ENDPOINTS
from serving.api.metrics import ServiceMetrics
from serving.api.settings import PREFIX, ServiceSettings
from serving.app import HOME_VARIABLE
from serving.app.place import URL_VARIABLE
from vision.base.closure import ROOT, import_closure

DEPLOY = ROOT / "deploy"
PATHS = {each.path for each in ENDPOINTS}


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all(read(name)))


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.yaml")), ids=str)
def test_every_file_is_yaml(path: Path) -> None:
    assert all(documents(str(path.relative_to(DEPLOY))))


def test_the_dockerfile_copies_and_runs_what_is_there() -> None:
    text = read("Dockerfile").replace("\\\n", " ")
    for sources in re.findall(r"^COPY ((?!--from)[^\n]+)$", text, re.MULTILINE):
        for source in shlex.split(sources)[:-1]:
            assert (ROOT / source).exists() or list(ROOT.glob(source)), source
    assert set(re.findall(r"127\.0\.0\.1:(?:3000|8501)(/\w+)'", text)) <= PATHS
    named = set(re.findall(r"\b(TAXON_\w+)=", text))
    assert named == {"TAXON_STATE", HOME_VARIABLE, URL_VARIABLE}
    assert "USER 10001" in text.split("AS service")[1].split("FROM")[0]
    (version,) = re.findall(r"^UV_VERSION := (\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f"pip install uv=={version} " in text


def test_the_page_image_has_all_packages_that_the_page_imports() -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)==", read("images/page.txt"), re.MULTILINE))
    names = {"PIL": "pillow", "pillow_heif": "pillow-heif", "pydantic_core": "pydantic-core"}
    imported = set()
    for file in import_closure(("serving.app.page",)):
        found = re.findall(r"^\s*(?:from|import) (\w+)", (ROOT / file).read_text(), re.MULTILINE)
        imported |= set(found) - set(sys.stdlib_module_names) - {"serving", "vision"}
    assert {"streamlit", "httpx"} <= imported
    assert {names.get(each, each) for each in imported} <= locked


def test_locks_of_images_agree_with_the_product() -> None:
    def pins(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([a-z0-9._-]+)(?:\[\w+\])?==([^\s;\\]+)", path.read_text(), re.MULTILINE))

    whole = pins(ROOT / "requirements-extras.txt") | pins(ROOT / "requirements.txt")
    for name in ("page", "postgresql"):
        for package, version in pins(DEPLOY / "images" / f"{name}.txt").items():
            assert whole.get(package, version) == version, package


def test_pip_installs_what_uv_locks() -> None:
    """pip, by which images and Bentos are built, heeds an upper bound of Requires-Python; uv does not."""
    pins = dict(
        re.findall(r"^([a-z0-9-]+)==([^\s;\\]+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    )
    locked = [each for each in distributions() if pins.get(canonicalize_name(each.name)) == each.version]
    assert len(locked) > 100
    for each in locked:
        bounds = SpecifierSet(str(each.metadata.json.get("requires_python", "")))
        assert bounds.contains(platform.python_version()), f"{each.name} {each.version} {bounds}"


def test_compose_guards_every_container_and_names_settings_that_there_are() -> None:
    (compose,) = documents("compose.yaml")
    for name, service in compose["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        if "build" in service:
            assert f"AS {service['build']['target']}\n" in read("Dockerfile")
        assert ("ports" in service) == (name == "proxy")
    for each in (*compose["configs"].values(),):
        assert (DEPLOY / each["file"]).is_file()
    settings = {PREFIX + field.upper() for field in ServiceSettings.model_fields}
    given = {name for name in compose["services"]["service"]["environment"] if name.startswith(PREFIX)}
    assert given <= settings
    service = compose["services"]["service"]
    assert service["tmpfs"]
    assert (
        f"archives:{service['environment']['TMPDIR']}" in service["volumes"]
    )  # not in the container's memory


def test_the_proxy_and_prometheus_reach_what_compose_starts() -> None:
    (compose,) = documents("compose.yaml")
    for host, port in re.findall(r"http://(\w+):(\d+)", read("proxy/nginx.conf")):
        assert host in compose["services"]
        assert f"EXPOSE {port}" in read("Dockerfile")
    (scrape,) = documents("prometheus/prometheus.yaml")[0]["scrape_configs"]
    assert scrape["metrics_path"] in PATHS
    assert scrape["static_configs"][0]["targets"] == ["service:3000"]


def test_alarms_look_at_series_that_the_service_has() -> None:
    metrics = ServiceMetrics()
    metrics.count_refusal(HTTPStatus.BAD_REQUEST)
    series = set(re.findall(r"^(taxon_\w+)", metrics.render().decode(), re.MULTILINE))
    named = set(re.findall(r"\b(taxon_\w+)", read("prometheus/alarms.yaml")))
    assert named
    assert named <= series


def test_kubernetes_probes_paths_and_runs_pipelines_that_there_are() -> None:
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    every = [each for name in kustomization["resources"] for each in documents(f"kubernetes/{name}")]
    text = "".join(read(f"kubernetes/{name}") for name in kustomization["resources"])
    probed = set(re.findall(r"path: (/\S+?), port", text))
    assert probed - {"/page/_stcore/health"} == {"/readyz", "/livez"} <= PATHS
    pipelines = set(re.findall(r"--pipeline (\w+)", text))
    assert pipelines == {"monitoring", "retraining"} <= {each.value for each in PipelineName}
    images = {f"taxon-{name}" for name in re.findall(r"AS (service|page|jobs)\n", read("Dockerfile"))}
    assert (
        {each["name"] for each in kustomization["images"]} == images == set(re.findall(r"image: (\S+)", text))
    )
    for each in every:
        if each["kind"] in ("Deployment", "CronJob"):
            spec = each["spec"]
            pod = spec.get("template") or spec["jobTemplate"]["spec"]["template"]
            (container,) = pod["spec"]["containers"]
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert container["resources"]["limits"]


def test_systemd_and_the_readme_type_commands_that_there_are() -> None:
    text = read("README.md") + "".join(path.read_text() for path in (DEPLOY / "systemd").iterdir())
    typed = set(re.findall(r"run\.py (\w+)", text))
    assert {"service", "schedule"} == typed <= {each.name.partition(" ")[0] for each in COMMANDS}
    assert (ROOT / "configs" / "schedule.yaml").is_file()


def test_the_bento_that_was_deployed_last_is_picked_and_an_unknown_one_told(tmp_path: Path) -> None:
    for version in ("a", "b"):
        source = tmp_path / f"state/bentoml/bentos/fish/{version}/src"
        source.mkdir(parents=True)
        (source / "pinned.json").write_text(json.dumps({"tag": f"fish:model-{version}"}))
        (tmp_path / f"state/bentoml/models/fish/model-{version}").mkdir(parents=True)
    (tmp_path / "state/deployed.json").write_text(json.dumps({"bento": {"tag": "fish:b"}}))

    def pick(*tag: str) -> subprocess.CompletedProcess[str]:
        script = [
            sys.executable,
            str(DEPLOY / "images/pick_bento.py"),
            str(tmp_path / "state"),
            str(tmp_path / "app"),
            *tag,
        ]
        return subprocess.run(script, capture_output=True, text=True, check=False)

    assert pick("").stdout.strip() == "fish:b"
    assert (tmp_path / "app/bento/src/pinned.json").is_file()
    assert [each.name for each in (tmp_path / "app/models/fish").iterdir()] == ["model-b"]
    refused = pick("fish:c")
    assert refused.returncode == 1
    assert "fish:a" in refused.stderr
    assert "BENTO=" in refused.stderr


def test_keys_are_made_once_and_fit_the_service(tmp_path: Path) -> None:
    from serving.api.keys import parse_keys

    script = tmp_path / "make_keys.sh"
    script.write_text(read("make_keys.sh"))
    done = subprocess.run(["sh", script], capture_output=True, text=True, check=True)
    variables = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text().splitlines())
    assert set(parse_keys(variables["TAXON_API_KEYS"])) == {"client", "prometheus"}
    assert done.stdout.strip().rpartition(" ")[2] in variables["TAXON_API_KEYS"]
    assert (tmp_path / "metrics.key").read_text() in variables["TAXON_API_KEYS"]
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert subprocess.run(["sh", script], capture_output=True, check=False).returncode == 1
