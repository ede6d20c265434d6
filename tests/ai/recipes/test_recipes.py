"""What recipes write: its own tests pass, and are red without it; linters and type checkers have nothing to say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.ai.recipes.town import WORDS, fresh, plan, write
from turnout.ai.changeset import ChangeSet
from turnout.ai.recipes import RECIPES
from turnout.ai.recipes.signup_email import edit
from turnout.ai.view import ProjectView
from turnout.errors import ConfigError

RULES = "E,F,W,I,UP,B,C4,SIM,RUF,ASYNC,PTH,PLE,PLW"
TEMPLATE = ["app/api/posts", "app/api/hello", "lib/posts.py", "tests/test_api.py"]  # what turnout new writes itself


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ChangeSet]]:
    root = fresh(tmp_path_factory.mktemp("town") / "town")
    changes = []
    for words in WORDS:
        change = plan(root, words)
        assert change == plan(root, words), "the same input gives the same bytes"
        write(root, change)
        changes.append(change)
    return root, changes


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, timeout=300)


def outcomes(root: Path, files: list[str]) -> dict[str, list[str]]:
    """Each test file with what became of its tests: ``passed``, ``failed``, or ``error``."""
    report = root / "report.xml"
    run("pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--tb=line", f"--junitxml={report}", *files, cwd=root)
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):
        result = "failed" if case.find("failure") is not None else "passed"
        if case.find("error") is not None:
            result = "error"
        name = case.get("classname", "").removeprefix("tests.") or case.get("name", "").removeprefix("tests.")
        found.setdefault(name, []).append(result)
    return found


def test_every_recipe_is_tried(town: tuple[Path, list[ChangeSet]]) -> None:
    assert {words[0] for words in WORDS} == RECIPES.keys()


def test_their_own_tests_pass(town: tuple[Path, list[ChangeSet]]) -> None:
    root, _ = town

    found = outcomes(root, [])

    assert len(found) == len(WORDS) + 1
    assert {name: set(results) for name, results in found.items()} == {name: {"passed"} for name in found}


def test_their_tests_are_red_where_only_the_tests_are_there(town: tuple[Path, list[ChangeSet]], tmp_path: Path) -> None:
    base = fresh(tmp_path / "base")
    for change in town[1]:
        write(base, change, only="tests/")
    files = [each.path for change in town[1] for each in change.files if each.path.startswith("tests/")]

    found = outcomes(base, files)

    assert len(found) == len(WORDS)
    for name, results in found.items():
        assert "failed" in results and "error" not in results, name


def test_the_routes_are_those_that_were_claimed(town: tuple[Path, list[ChangeSet]]) -> None:
    root, changes = town
    claimed = {(each.method, each.path) for change in changes for each in change.contract}

    asked = json.dumps({"what": "routes", "root": str(root)})
    command = [sys.executable, "-m", "turnout.ai.look"]
    done = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=180)

    listed = json.loads(done.stdout)["routes"]
    there = {(each["method"], each["path"]) for each in listed if each["method"] not in ("HEAD", "OPTIONS")}
    ours = {(method, path) for method, path in there if path not in ("/api/hello", "/api/posts", "/api/posts/[id]")}
    assert ours == claimed


def test_the_auth_of_each_route_is_that_which_was_claimed(town: tuple[Path, list[ChangeSet]]) -> None:
    for change in town[1]:
        files = {each.path: each.text or "" for each in change.files}
        for claim in change.contract:
            source = files[f"app{claim.path}/route.py"]
            assert re.search(rf'^auth = "{claim.auth}"', source, re.MULTILINE), claim


def test_linter_formatter_and_type_checker_have_nothing_to_say(town: tuple[Path, list[ChangeSet]]) -> None:
    root, _ = town
    options = ["--isolated", "--line-length", "120", "--no-cache"]
    ignored = ["--ignore", "RUF001,RUF002,RUF003", "--exclude", ",".join(TEMPLATE)]

    for done in (
        run("ruff", "check", *options, "--select", RULES, *ignored, ".", cwd=root),
        run("ruff", "format", "--diff", *options, ".", cwd=root),
        run("mypy", "--strict", "--cache-dir", str(root / ".mypy_cache"), cwd=root),
    ):
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_written_speaks_of_itself(town: tuple[Path, list[ChangeSet]]) -> None:
    for change in town[1]:
        assert len(change.summary) > 40
        for each in change.files:
            assert each.text is not None and each.text.endswith("\n") and not each.text.endswith("\n\n"), each.path
            assert not re.search(r"@[A-Z_]+@", each.text), each.path
            if each.path.endswith(".py"):
                assert each.text.startswith('"""'), each.path


@pytest.mark.parametrize("words", [words for words in WORDS if words[0] != "cron"], ids=" ".join)
def test_a_second_time_nothing_is_written_over(town: tuple[Path, list[ChangeSet]], words: list[str]) -> None:
    if words[0] == "signup-email":
        words = ["signup-email", "path=/api/posts"]
    with pytest.raises(ConfigError, match=r"already|there"):
        plan(town[0], words)


HOSTILE = [
    ["signup-email", "path=/api/../../etc"],
    ["signup-email", "path=/api/[id]"],
    ["stripe-webhook", "path=api/x"],
    ["stripe-webhook", 'path=/api/x"""'],
    ["health", "path=/a\n/b"],
    ["health", "path=/" + "a" * 200],
    ["crud", "x; drop table users", "a:str"],
    ["crud", "class", "a:str"],
    ["crud", "thing", "id:int"],
    ["crud", "thing", "order:int"],
    ["crud", "thing", 'a"b:str'],
    ["crud", "thing", "a:blob"],
    ["crud", "thing", "a:ref(nowhere)"],
    ["crud", "thing", "a:str", "a:int"],
    ["crud", "thing", "owner:ref(users)"],
    ["crud", "thing", *[f"f{number}:str" for number in range(21)]],
    ["crud", "thing"],
    ["crud"],
    ["proxy", "weather", "city", "timeout=0"],
    ["proxy", "weather", "city", "url=http://x"],
    ["proxy", "os.system('x')", "city"],
    ["cron", "cron=* * *"],
    ["cron", 'cron=0 3 * * *"'],
    ["cron", "timezone=../etc"],
    ["cron", "table=nowhere"],
    ["cron", "days=0"],
    ["upload", "megabytes=0"],
    ["webhook", "acme", "rot13"],
    ["webhook", "acme", "hmac", "header=X Bad"],
    ["webhook", "acme", "secret=lower"],
    ["auth-route", "table=a b"],
    ["health", "unknown=1"],
    ["health", "/api/a", "/api/b"],
]


@pytest.mark.parametrize("words", HOSTILE, ids=lambda words: " ".join(words)[:60].replace("\n", " "))
def test_a_word_that_makes_no_sense_is_refused_with_its_cure(tmp_path: Path, words: list[str]) -> None:
    root = fresh(tmp_path / "app")

    with pytest.raises(ConfigError) as refused:
        plan(root, words)

    assert refused.value.cure


def test_migrations_come_after_those_there_are_and_fit_the_database_in_use(tmp_path: Path) -> None:
    root = fresh(tmp_path / "app")
    assert [each.path for each in plan(root, ["crud", "note", "a:str"]).files if "migrations" in each.path] == [
        "migrations/20260101000001_notes.sql"
    ]
    (root / "migrations/20260101000000_posts.sql").write_text("create table posts (id bigserial primary key);\n")
    (file,) = [each for each in plan(root, ["crud", "note", "a:str"]).files if "migrations" in each.path]
    assert "generated always as identity" in (file.text or "")
    (root / "migrations/20260101000000_posts.sql").unlink()
    paths = [each.path for each in plan(root, ["crud", "note", "a:str"]).files if "migrations" in each.path]
    assert paths == ["migrations/0001_notes.sqlite.sql", "migrations/0001_notes.pg.sql"]


SIGN_UP = '''\
"""Sign up."""

from turnout import Response
from turnout.auth import auth_service


async def POST(body: dict[str, str]) -> Response:
    made = await auth_service().sign_up(body["email"], body["password"]@TAIL@)
    return Response.json({"id": made.user.id if made.user else None})
'''


def test_a_sign_up_that_is_there_is_edited_at_its_one_certain_place(tmp_path: Path) -> None:
    root = fresh(tmp_path / "app")
    file = root / "app/api/register/route.py"
    file.parent.mkdir(parents=True)
    file.write_text(SIGN_UP.replace("@TAIL@", ', data={"ü": "ö"}'))

    change = plan(root, ["signup-email"])

    texts = {each.path: each.text or "" for each in change.files}
    assert change.contract == []
    assert 'data={"ü": "ö"}, on_new=welcome)' in texts["app/api/register/route.py"]
    assert "\n\nfrom lib.welcome import welcome\n\n\n" in texts["app/api/register/route.py"]
    write(root, change)
    assert outcomes(root, []) == {"test_api": ["passed"] * 3, "test_welcome": ["passed"]}


@pytest.mark.parametrize(
    "source",
    [
        SIGN_UP.replace("@TAIL@", ", on_new=print"),
        SIGN_UP.replace("@TAIL@", "").replace("auth_service()", "supabase.auth"),
        SIGN_UP.replace("@TAIL@", "") + "\n\nwelcome = 1\n",
        SIGN_UP.replace("@TAIL@", "  # what\n    "),
        SIGN_UP.replace("@TAIL@", "").replace("    return", "    await auth_service().sign_up('a', 'b')\n    return"),
        SIGN_UP.replace("@TAIL@", "").replace("POST", "PUT"),
        "def broken(:\n",
        "",
    ],
)
def test_where_the_place_is_not_certain_nothing_is_edited(tmp_path: Path, source: str) -> None:
    assert edit(source) is None
    root = fresh(tmp_path / "app")
    file = root / "app/api/signup/route.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)

    change = plan(root, ["signup-email"])

    assert "app/api/signup/route.py" not in [each.path for each in change.files]
    assert "await send_welcome.enqueue(" in change.summary


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sign_up(a, b)", "sign_up(a, b, on_new=welcome)"),
        ("sign_up(a, b,)", "sign_up(a, b, on_new=welcome)"),
        ("sign_up(\n        a,\n        b,\n    )", "sign_up(\n        a,\n        b,\n        on_new=welcome,\n    )"),
    ],
)
def test_the_edit_keeps_the_form_of_the_call(before: str, after: str) -> None:
    source = "from turnout.auth import auth_service\n\n\nasync def POST(body):\n    await auth_service().{}\n"

    assert edit(source.format(before)) == source.format(after).replace(
        "auth_service\n", "auth_service\n\nfrom lib.welcome import welcome\n", 1
    )


def test_the_workers_file_gets_the_import_or_the_line_is_said(tmp_path: Path) -> None:
    root = fresh(tmp_path / "app")
    file = root / "lib/tasks.py"
    file.write_text('"""Ours."""\n\nfrom lib.other import thing\n\nX = 1\n')
    (change,) = [each for each in plan(root, ["cron"]).files if each.path == "lib/tasks.py"]
    assert change.text == (
        '"""Ours."""\n\nfrom lib.other import thing\nfrom lib.clean_up import clean_up as clean_up\n\nX = 1\n'
    )
    file.write_text("def clean_up(): ...\n")
    told = plan(root, ["cron"])
    assert "lib/tasks.py" not in [each.path for each in told.files]
    assert "from lib.clean_up import clean_up as clean_up" in told.summary


def test_a_private_file_in_the_way_is_not_read_and_not_replaced(tmp_path: Path) -> None:
    root = fresh(tmp_path / "app")
    (root / "lib/contact.py").symlink_to(root / ".env")
    assert ProjectView(root).read("lib/contact.py") is None

    with pytest.raises(ConfigError, match="there already"):
        plan(root, ["contact-form"])
