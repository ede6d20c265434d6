"""The container target: what it refuses, and its files as the tools of those formats read them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from deploy.functions import build, project
from ports import free_port

from turnout.deploy.container import dns_label
from turnout.errors import ConfigError

HELLO = "async def GET(request):\n    return {'hello': 'world'}\n"
LOCKED = "msgspec==0.20.0 \\\n    --hash=sha256:" + "a" * 64 + "\n# via turnout\n"
FILES = {"app/api/hello/route.py": HELLO, "requirements.txt": LOCKED}
PROGRAMS = Path(sys.executable).parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(project(tmp_path_factory.mktemp("c") / "My Shop", FILES), "container")


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(each) for each in command], capture_output=True, text=True, timeout=180, **options)


def test_the_app_and_four_files_are_written(built: Path) -> None:
    names = {
        "Dockerfile",
        "my-shop.service",
        "kubernetes.yaml",
        "knative.yaml",
        "requirements.txt",
        "build.json",
        "app",
    }
    assert {file.name for file in built.iterdir()} == names
    assert (built / "app" / "manifest.json").is_file()
    assert not re.search(
        r"\$(?!PATH|MAINPID)\w", "".join(each.read_text() for each in built.glob("[DKkm]*") if each.is_file())
    )


@pytest.mark.parametrize("lock", [None, "msgspec==0.20.0\n", "", LOCKED + "other==1\n"])
def test_what_is_in_the_image_has_to_be_known(tmp_path: Path, lock: str | None) -> None:
    files = {**FILES, "requirements.txt": lock} if lock is not None else {"app/api/hello/route.py": HELLO}
    with pytest.raises(ConfigError, match=r"requirements\.txt") as caught:
        build(project(tmp_path, files), "container")
    assert "uv export" in str(caught.value)


@pytest.mark.parametrize(
    ("route", "cure"),
    [('rate_limit = "20/min"\n' + HELLO, "STORE_URL"), ("from turnout import db\n" + HELLO, "DATABASE_URL")],
)
def test_what_lives_in_one_replica_is_refused(tmp_path: Path, route: str, cure: str) -> None:
    with pytest.raises(ConfigError, match="/api/hello") as caught:
        build(project(tmp_path, {**FILES, "app/api/hello/route.py": route}), "container")
    assert cure in str(caught.value)


def test_a_project_that_keeps_state_all_the_same_gets_one_replica(tmp_path: Path) -> None:
    files = {**FILES, "app/api/hello/route.py": "from turnout import db\n" + HELLO}
    out = build(project(tmp_path, files, 'allow = ["sqlite"]'), "container")
    deployment, _, budget, scaler = yaml.safe_load_all((out / "kubernetes.yaml").read_text())
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert budget["spec"]["minAvailable"] == 0
    assert scaler["spec"]["maxReplicas"] == 1


def test_names_are_labels() -> None:
    assert [dns_label(name) for name in ("blog", "My Shop!", "2048", "é", "-a-")] == [
        "blog",
        "my-shop",
        "app-2048",
        "app",
        "a",
    ]


# -- the Dockerfile

HADOLINT = PROGRAMS / "hadolint"


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint is not installed")
def test_hadolint_finds_nothing_and_would_find_a_fault(built: Path, tmp_path: Path) -> None:
    done = run(HADOLINT, built / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")
    planted = (built / "Dockerfile").read_text().replace("-slim AS build", " AS build").replace(":3", ":latest #", 1)
    (tmp_path / "Dockerfile").write_text("FROM debian\nRUN cd /srv && apt-get install x\n" + planted)
    assert run(HADOLINT, tmp_path / "Dockerfile").returncode != 0


def test_the_command_of_the_image_serves_from_its_place(built: Path, tmp_path: Path) -> None:
    """No image is built here: its COPY and CMD lines are done by hand in an empty folder."""
    text = (built / "Dockerfile").read_text()
    place = tmp_path / "srv"
    shutil.copytree(built / "app", place / "app")
    compiled = re.search(r"RUN /venv/bin/python (-m compileall .+)", text)
    assert compiled is not None
    assert run(sys.executable, *compiled[1].split(), cwd=place).returncode == 0
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    command = re.search(r'CMD \["turnout", "start"\]', text)
    assert command is not None
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "start"],
        cwd=place / "app",
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "ready on" in process.stdout.readline()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/hello", timeout=90) as answer:
            assert answer.read() == b'{"hello":"world"}'
        process.terminate()  # STOPSIGNAL SIGTERM
        assert process.wait(90) == 0
    finally:
        process.kill()
        process.stdout.close()  # type: ignore[union-attr]


# -- systemd


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_has_nothing_to_say_of_the_unit_and_finds_it_safe(built: Path, tmp_path: Path) -> None:
    text = (built / "my-shop.service").read_text()
    program = tmp_path / "turnout"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    # The programs are not on this machine, nor is the user.
    text = text.replace("/srv/my-shop/.venv/bin/turnout", str(program)).replace("User=my-shop", "User=root")
    text = text.replace("WorkingDirectory=/srv/my-shop", f"WorkingDirectory={tmp_path}")
    unit = tmp_path / "my-shop.service"
    unit.write_text(text)
    done = run("systemd-analyze", "verify", unit)
    assert (done.stdout + done.stderr).strip() == ""
    unit.write_text(text.replace("WatchdogSec", "WatchdogSecs"))
    assert "WatchdogSecs" in run("systemd-analyze", "verify", unit).stderr
    unit.write_text(text.replace("User=root", "User=nobody"))
    assert run("systemd-analyze", "security", "--offline=true", "--threshold=30", unit).returncode == 0


# -- Kubernetes and Knative

VALIDATE = PROGRAMS / "kubernetes-validate"


@pytest.mark.skipif(not VALIDATE.exists(), reason="kubernetes-validate is not installed")
def test_the_schemas_of_kubernetes_take_the_manifests_and_refuse_a_fault(built: Path, tmp_path: Path) -> None:
    done = run(VALIDATE, "--strict", built / "kubernetes.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    planted = (built / "kubernetes.yaml").read_text().replace("readinessProbe", "readinesProbe")
    (tmp_path / "planted.yaml").write_text(planted)
    assert run(VALIDATE, "--strict", tmp_path / "planted.yaml").returncode != 0


def test_the_drain_fits_into_the_time_that_kubernetes_gives(built: Path) -> None:
    deployment = next(yaml.safe_load_all((built / "kubernetes.yaml").read_text()))
    pod = deployment["spec"]["template"]["spec"]
    [container] = pod["containers"]
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= sleep + 1 + 30 + 5
    # Out of the balancer before the drain refuses: one failed look, and the time it takes.
    assert container["readinessProbe"]["periodSeconds"] * container["readinessProbe"]["failureThreshold"] <= sleep


MODELS = Path(sys.prefix) / "knative"
CHECK = """
import json, sys
from cloudcoil.models.knative_serving.serving import v1
data = json.load(sys.stdin)
service = v1.Service.model_validate(data)
# They take keys that they do not know: what comes out must be what went in.
assert service.model_dump(by_alias=True, exclude_none=True, exclude_unset=True, mode="json") == data
"""


@pytest.mark.skipif(not MODELS.is_dir(), reason="knative's models are not there: make test fetches them")
def test_the_models_of_knative_take_its_service_whole_and_refuse_a_fault(built: Path) -> None:
    def check(data: Any) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(MODELS)}
        return run(sys.executable, "-c", CHECK, input=json.dumps(data), env=environment)

    data = yaml.safe_load((built / "knative.yaml").read_text())
    done = check(data)
    assert done.returncode == 0, done.stderr
    spec = data["spec"]["template"]["spec"]
    assert check({**data, "spec": {"template": {"spec": {**spec, "containerConcurrency": "many"}}}}).returncode != 0
    assert check({**data, "spec": {"template": {"spec": {**spec, "containerConcurency": 1}}}}).returncode != 0
