"""The template and the zip, judged by AWS's own linter and by a cloud of one machine."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from deploy.functions import FULL, build, project

from turnout.deploy import aws_lambda
from turnout.deploy.builder import Builder
from turnout.errors import ConfigError

FILES = {
    "app/api/hello/route.py": "max_duration = 20\n\n\nasync def GET(request):\n    return {'hello': 'world'}\n",
    "lib/tasks.py": """
        from turnout import task


        @task(cron="30 3 * * 1-5", timezone="Europe/Berlin")
        async def nightly(): ...


        @task(cron="*/5 * 1 * *", name="first_of_month")
        async def first(): ...
    """,
}
EVENTS = ("url", "http-api", "rest-api", "alb") if FULL else ("rest-api",)


def template(root: Path, events: str = "url", runtime: str = "loop", files: dict[str, str] = FILES) -> dict[str, Any]:
    deploy = f'lambda_events = "{events}"\nlambda_runtime = "{runtime}"\nenvironment = ["DATABASE_URL", "STORE_URL"]'
    builder = Builder(project(root, files, deploy), target="aws-lambda")
    assert isinstance(builder.target, aws_lambda.Target)
    return builder.target.template(builder)


def lint(file: Path, data: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    file.write_text(json.dumps(data))
    command = [str(Path(sys.executable).parent / "cfn-lint"), "--regions", "eu-central-1", "--template", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("events", EVENTS)
def test_the_linter_finds_nothing(tmp_path, events):
    found = lint(tmp_path / "template.json", template(tmp_path, events))

    assert (found.returncode, found.stdout) == (0, "")


def test_the_linter_finds_what_is_planted(tmp_path):
    data = template(tmp_path)
    data["Resources"]["Function"]["Properties"]["Runtime"] = "python3.99"
    data["Resources"]["Url"]["Properties"]["InvokeModus"] = "STREAM"

    found = lint(tmp_path / "template.json", data)

    assert found.returncode == 2
    assert "python3.99" in found.stdout
    assert "InvokeModus" in found.stdout


def test_names_of_variables_are_parameters_and_their_values_are_not_shown(tmp_path):
    data = template(tmp_path)

    variables = data["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
    assert variables["DATABASE_URL"] == {"Ref": "DatabaseUrl"}
    assert data["Parameters"]["DatabaseUrl"]["NoEcho"] is True


def test_the_loop_is_put_in_place_by_the_exec_wrapper_and_streams_behind_a_url(tmp_path):
    streaming, whole = template(tmp_path), template(tmp_path, "http-api")
    managed = template(tmp_path, runtime="managed")

    def variables(data: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = data["Resources"]["Function"]["Properties"]["Environment"]["Variables"]
        return found

    assert variables(streaming)["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/bootstrap"
    assert variables(streaming)["TURNOUT_LAMBDA_STREAM"] == "1"
    assert streaming["Resources"]["Url"]["Properties"]["InvokeMode"] == "RESPONSE_STREAM"
    assert "TURNOUT_LAMBDA_STREAM" not in variables(whole)
    assert "AWS_LAMBDA_EXEC_WRAPPER" not in variables(managed)
    assert managed["Resources"]["Url"]["Properties"]["InvokeMode"] == "BUFFERED"


def test_whoever_may_call_the_function_may_do_so_through_its_url_only(tmp_path):
    resources = template(tmp_path)["Resources"]

    open_to_all = [
        each["Properties"] for each in resources.values() if each.get("Properties", {}).get("Principal") == "*"
    ]
    assert {each["Action"] for each in open_to_all} == {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"}
    assert all("FunctionUrlAuthType" in each or each["InvokedViaFunctionUrl"] for each in open_to_all)


def test_tasks_with_a_cron_become_schedules(tmp_path):
    resources = template(tmp_path)["Resources"]

    nightly = resources["ScheduleNightly"]["Properties"]
    assert nightly["ScheduleExpression"] == "cron(30 3 ? * MON-FRI *)"
    assert nightly["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert json.loads(nightly["Target"]["Input"]) == {"source": "turnout.schedule", "task": "nightly"}
    assert resources["ScheduleFirstOfMonth"]["Properties"]["ScheduleExpression"] == "cron(*/5 * 1 * ? *)"


@pytest.mark.parametrize(
    ("cron", "problem"), [("0 0 1 * 1", "of which EventBridge takes one"), ("0 0 3 * * *", "seconds")]
)
def test_a_schedule_that_eventbridge_cannot_say_fails_the_build_with_its_line(tmp_path, cron, problem):
    task = f"from turnout import task\n\n\n@task(cron={cron!r})\nasync def odd(): ...\n"
    with pytest.raises(ConfigError, match=problem) as caught:
        template(tmp_path, files={**FILES, "lib/tasks.py": task})

    assert (caught.value.file, caught.value.line) == (tmp_path / "lib/tasks.py", 5)


def test_the_timeout_leaves_room_after_the_longest_route(tmp_path):
    assert template(tmp_path)["Resources"]["Function"]["Properties"]["Timeout"] == 35
    files = {"app/api/long/route.py": "max_duration = 600\n\n\nasync def GET(request): ...\n"}
    assert template(tmp_path / "long", files=files)["Resources"]["Function"]["Properties"]["Timeout"] == 605


# -- the zip


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return build(project(tmp_path_factory.mktemp("zip"), FILES, 'lambda_runtime = "loop"'))


def test_the_zip_is_small_and_has_neither_server_nor_tools(out):
    with zipfile.ZipFile(out / "function.zip") as made:
        sizes = {entry.filename: entry.compress_size for entry in made.infolist()}
        script = made.getinfo("bootstrap")
        dates = {entry.date_time for entry in made.infolist()}

    assert not [name for name in sizes if name.startswith(("uvloop", "httptools", "turnout/server", "turnout/cli"))]
    assert not [name for name in sizes if name.startswith("turnout/") and name.endswith(".py")]
    assert (script.external_attr >> 16) & 0o111
    assert dates == {(1980, 1, 1, 0, 0, 0)}


def test_a_part_that_is_not_used_is_not_shipped(out, tmp_path):
    with zipfile.ZipFile(out / "function.zip") as made:
        tasks = made.namelist()
    project(tmp_path, {"app/api/a/route.py": "async def GET(request): ...\n"})
    file = tmp_path / "pyproject.toml"
    file.write_text(file.read_text().replace("turnout[templates]", "turnout"))
    plain = build(tmp_path)
    with zipfile.ZipFile(plain / "function.zip") as made:
        names = made.namelist()
        own = sum(entry.compress_size for entry in made.infolist() if not entry.filename.startswith("msgspec"))

    assert own < 300_000
    assert (plain / "function.zip").stat().st_size < 500_000  # with msgspec
    assert "turnout/tasks/task.pyc" in tasks
    assert not [name for name in names if name.startswith(("turnout/tasks", "turnout/db", "turnout/mail"))]


def test_a_function_over_lambda_s_limit_is_refused_with_its_largest_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(aws_lambda, "UNPACKED_BYTES", 100_000)
    with pytest.raises(ConfigError, match="Lambda takes") as caught:
        build(project(tmp_path, FILES))

    assert "msgspec" in (caught.value.cure or "")


def test_a_package_that_is_not_installed_fails_the_build(tmp_path):
    root = project(tmp_path, FILES)
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace("[templates]", '", "no-such-package-here>=1'))

    with pytest.raises(ConfigError, match="no-such-package-here"):
        build(root)


def test_packages_ship_as_they_are_installed_without_what_the_target_has(tmp_path):
    root = project(tmp_path, FILES)
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace('templates]"]', 'templates]", "uvloop"]'))

    folder = build(root) / "function"

    assert (folder / "jinja2" / "environment.py").is_file()
    assert (folder / "markupsafe").is_dir()
    assert not (folder / "uvloop").exists()
    assert not list(folder.rglob("*.pyi"))
