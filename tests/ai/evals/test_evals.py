"""turnout.ai.evals: the graders grade, the recipes' answers are judged like a model's, and counting is honest."""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
from difflib import unified_diff
from pathlib import Path

import pytest

from turnout.ai.evals import ask, data, grade, report
from turnout.ai.evals.__main__ import main
from turnout.ai.jail import FULL, strongest
from turnout.errors import ConfigError

EVALS = Path(__file__).parents[3] / "evals"


def test_every_reference_passes_and_every_mutant_is_noticed() -> None:
    assert grade.check(EVALS, data.read(EVALS)) == []


def test_there_are_evals_enough_of_each_kind() -> None:
    found = data.read(EVALS)

    assert len(found) >= 12
    assert {each.category for each in found} == set(data.CATEGORIES)
    assert all(len(each.mutants) >= 3 for each in found)


def test_a_prompt_speaks_as_a_user_and_never_of_our_own_names() -> None:
    for each in data.read(EVALS):
        assert not {"turnout", "msgspec", "Struct", "send_email", "db.from_", "route.py"} & set(each.prompt.split())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "evals"
    shutil.copytree(EVALS / "001-hello", folder / "001-hello", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(EVALS / "conftest.py", folder / "conftest.py")
    return folder


def test_a_mutant_that_nobody_notices_is_told(own: Path) -> None:
    before = (own / "001-hello/reference/app/api/hello/route.py").read_text()
    after = before.replace("greet somebody", "greet them")
    names = ("a/app/api/hello/route.py", "b/app/api/hello/route.py")
    patch = "".join(unified_diff(before.splitlines(True), after.splitlines(True), *names))
    (own / "001-hello/mutants/same.patch").write_text(patch)

    assert grade.check(own, data.read(own)) == ["001-hello: no hidden test notices same.patch"]


def test_a_reference_that_fails_and_a_project_that_needs_nothing_are_told(own: Path) -> None:
    folder = own / "001-hello"
    shutil.rmtree(folder / "mutants")
    (folder / "mutants").mkdir()
    shutil.copytree(folder / "reference/app", folder / "project/app", dirs_exist_ok=True)
    (folder / "hidden/test_exploit.py").write_text("async def test_it(client):\n    assert False\n")

    problems = grade.check(own, data.read(own))

    assert [problem.partition(": ")[2].partition(":")[0] for problem in problems] == [
        "the reference fails test_exploit",
        "there is no mutant, and so no proof that it grades",
    ]


def test_a_prompt_that_gives_a_test_away_is_told(own: Path) -> None:
    folder = own / "001-hello"
    line = next(each for each in (folder / "hidden/test_http.py").read_text().splitlines() if "Hello, Ada" in each)
    (folder / "prompt.md").write_text(f"Make this true: {line.strip()}\n")

    (found,) = data.read(own)

    assert data.leaks(found) == [line.strip()]


@pytest.mark.parametrize("part", ["eval.toml", "hidden/test_exploit.py", "reference", "mutants", "project"])
def test_an_eval_that_lacks_a_part_is_refused(own: Path, part: str) -> None:
    place = own / "001-hello" / part
    shutil.rmtree(place) if place.is_dir() else place.unlink()

    with pytest.raises(ConfigError, match="has no"):
        data.read(own)


def test_a_mutant_that_does_not_fit_is_refused(own: Path) -> None:
    (own / "001-hello/mutants/no-limit.patch").write_text("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n")

    with pytest.raises(ConfigError, match="does not fit"):
        grade.check(own, data.read(own))


def test_a_recipe_answers_a_prompt_without_a_key_and_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TURNOUT_AI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "results.jsonl"

    status = main(["--evals", str(EVALS), "run", "009", "--out", str(out)])

    (result,) = report.load(out)
    assert (status, result.by, result.works, result.secure, result.proved) == (
        0,
        "recipe contact-form",
        True,
        True,
        True,
    )
    assert "secure pass@1" in capsys.readouterr().out
    assert main(["report", str(out)]) == 0


def test_a_prompt_that_nobody_can_answer_is_counted_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TURNOUT_AI_MODEL"):
        monkeypatch.delenv(name, raising=False)

    status = main(["--evals", str(EVALS), "run", "001"])

    assert status == 1
    assert "pass@1                   0 of 1" in capsys.readouterr().out


AGENT = """
import pathlib, shutil, sys, urllib.request
prompt = sys.argv[1]
assert "hello" in prompt.lower() and pathlib.Path("AGENTS.md").is_file() and not pathlib.Path("hidden").exists()
if sys.argv[2:] == ["network"]:
    urllib.request.urlopen("http://127.0.0.1:9", timeout=2)
if sys.argv[2:] == ["pipe"]:
    import os
    os.mkfifo("pipe")
route = pathlib.Path("app/api/hello/route.py")
route.parent.mkdir(parents=True)
route.write_text(pathlib.Path(__file__).with_name("answer.txt").read_text())
print("done")
"""


@pytest.fixture
def agent(tmp_path: Path) -> str:
    """A coding agent that knows the answer, as a command."""
    program = Path(sys.prefix, "bin", "python")
    (tmp_path / "agent.py").write_text(AGENT)
    shutil.copyfile(EVALS / "001-hello/reference/app/api/hello/route.py", tmp_path / "answer.txt")
    return f"{program} {tmp_path / 'agent.py'} {{prompt}}"


@pytest.mark.parametrize(
    ("more", "status", "stage"),
    [("", 0, ""), (" network", 1, "agent"), (" pipe", 1, "agent")],
)
def test_an_agent_works_in_a_copy_and_is_judged(
    tmp_path: Path, agent: str, more: str, status: int, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    words = ["run", "001", "--agent", agent + more, "--no-jail", "--out", str(out)]

    assert main(["--evals", str(EVALS), *words]) == status
    (result,) = report.load(out)
    assert (result.by, result.secure, result.stage) == ("agent, without a jail", not status, stage)
    assert result.model == agent + more and not result.proved
    assert not (EVALS / "001-hello/project/app/api/hello").exists()


def test_an_agent_that_never_ends_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results.jsonl"
    words = ["run", "001", "--agent", "sh -c 'sleep 60 & sleep 60' {prompt}", "--no-jail", "--agent-time", "0.2"]

    assert main(["--evals", str(EVALS), *words, "--out", str(out)]) == 1
    (result,) = report.load(out)
    assert result.stage == "agent" and "not done in 0.2 s" in result.why


def test_the_jail_shows_an_agent_nothing_but_the_copy(
    tmp_path: Path, agent: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if asyncio.run(strongest()) not in FULL:
        pytest.skip("there is no whole jail on this machine")
    out = tmp_path / "results.jsonl"

    assert main(["--evals", str(EVALS), "run", "001", "--agent", agent, "--out", str(out)]) == 1
    (result,) = report.load(out)
    assert (result.by, result.stage) == ("agent", "agent") and "No such file" in result.why

    text = (EVALS / "001-hello/reference/app/api/hello/route.py").read_text()
    code = "import os, pathlib; os.makedirs('app/api/hello'); pathlib.Path('app/api/hello/route.py')"
    inside = shlex.join([str(Path(sys.prefix, "bin", "python")), "-c", f"{code}.write_text({text!r})", "{prompt}"])
    assert main(["--evals", str(EVALS), "run", "001", "--agent", inside]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("python", "where the prompt belongs"),
        ("no-such-agent {prompt}", "no program"),
        ("'x {prompt}", "cannot be read"),
    ],
)
def test_an_agent_that_cannot_be_asked_is_refused(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--evals", str(EVALS), "run", "001", "--agent", words]) == 3
    assert said in capsys.readouterr().err


def test_the_interval_is_wilsons() -> None:
    # Newcombe 1998, table I: 81 of 263, and 0 of 20, by method 3.
    assert [round(bound, 4) for bound in report.wilson(81, 263)] == [0.2553, 0.3662]
    assert [round(bound, 4) for bound in report.wilson(0, 20)] == [0.0, 0.1611]
    assert report.wilson(0, 0) == (0.0, 1.0)


def test_a_report_says_what_of_the_proved_is_secure_and_where_the_rest_ended() -> None:
    results = [
        ask.Result("001-hello", "validation", "m", 1, works=True, secure=True, proved=True, by="recipe x"),
        ask.Result("002-book", "data", "m", 1, works=True, secure=False, stage="hidden", why="test_an_id_is_never_sql"),
        ask.Result("002-book", "data", "m", 2, stage="G1 lint", why="TRN104", repairs=3),
    ]

    said = report.text(results)

    assert "m: 2 prompts, 3 answers" in said
    assert "  pass@1                   2 of 2" in said and "  secure pass@1            1 of 2" in said
    assert "  of those: secure         1 of 1" in said
    assert "ended at: hidden 1, G1 lint 1" in said and "002-book #2: G1 lint: TRN104" in said


def test_a_file_without_results_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(tmp_path / "nothing.jsonl")]) == 3
    assert main(["--evals", str(tmp_path), "check"]) == 3
    assert "holds no results" in capsys.readouterr().err
