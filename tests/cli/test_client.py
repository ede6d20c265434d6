"""turnout client: writes what is out of date, leaves the rest alone, and tells which is which."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from projects import make_project

from turnout.cli.main import main

ROUTE = "async def GET(request) -> {type}:\n    return {value}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path, {"app/api/a/route.py": ROUTE.format(type="int", value="1")})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_both_languages_are_written_and_then_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["client", "--ts", "src/api.ts", "--python", "api_client.py"]

    assert main(words) == 0
    assert capsys.readouterr().out == "wrote src/api.ts\nwrote api_client.py\n"
    assert (
        '"GET /api/a"' in (project / "src/api.ts").read_text()
        and "GET /api/a" in (project / "api_client.py").read_text()
    )
    before = [(project / name).stat().st_mtime_ns for name in ("src/api.ts", "api_client.py")]
    assert main(words) == 0
    assert capsys.readouterr().out == "src/api.ts is up to date\napi_client.py is up to date\n"
    assert [(project / name).stat().st_mtime_ns for name in ("src/api.ts", "api_client.py")] == before


def test_with_json_the_files_are_an_object(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["client", "--ts", "api.ts", "--json"]
    for more, status, state in ((["--check"], 1, "stale"), ([], 0, "written"), ([], 0, "current")):
        assert main([*words, *more]) == status
        said = json.loads(capsys.readouterr().out)
        assert said == {"ok": status == 0, "files": [{"file": "api.ts", "state": state}]}


def test_check_tells_what_is_behind_and_writes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["client", "--ts", "api.ts", "--check"]

    assert main(words) == 1 and not (project / "api.ts").exists()
    assert main(words[:-1]) == 0 and main(words) == 0
    text = (project / "api.ts").read_bytes()
    (project / "api.ts").write_bytes(text.replace(b"\n", b"\r\n"))  # as git may check it out
    assert main(words) == 0
    (project / "app/api/b").mkdir()
    (project / "app/api/b/route.py").write_text(ROUTE.format(type="str", value="''"))
    capsys.readouterr()
    assert main(words) == 1
    assert capsys.readouterr().err == "turnout: api.ts is out of date\n  cure: run this without --check\n"


def test_what_it_was_not_told_and_cannot_write_is_said(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["client"]) == 2
    assert "--ts src/api.ts" in capsys.readouterr().err
    (project / "file").write_text("")
    assert main(["client", "--ts", "file/api.ts"]) == 3
    assert "cannot be written" in capsys.readouterr().err
    assert main(["client", "--ts", "app"]) == 3
