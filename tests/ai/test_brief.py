"""ai/brief.py and ai/autofix.py: what a model is told, within a budget, and which slips are mended for it."""

from __future__ import annotations

import pytest
from projects import make_project

import turnout
from turnout.ai.autofix import _SOURCES, autofix
from turnout.ai.brief import brief, repair, similar
from turnout.ai.changeset import ChangeSet, FileChange, Finding
from turnout.ai.redact import Redactor
from turnout.ai.view import ProjectView

FILES = {
    "app/api/posts/route.py": "auth = 'public'\n\n\nasync def GET():\n    return ['posts']\n\n\nPOST = GET\n",
    "app/api/users/[id]/route.py": "async def GET(id: int):\n    return {'user': id}\n",
    "app/api/middleware.py": "async def middleware(request, next):\n    return await next(request)\n",
    "lib/posts.py": "class NewPost(Struct):\n    title: str\n\n\ndef tidy(text: str) -> str:\n    return text\n",
    "migrations/0001_posts.sql": "create table posts (id integer primary key, title text);\n",
    ".env.example": "# STRIPE_KEY=\nMAIL_KEY=\n",
    ".env": "STRIPE_KEY=sk_canary_value\n",
}
SECTIONS = ["Routes that exist", "A route of this project", "Tables", "lib/", "Middleware", "Packages", "Names in the"]


def told(root, ask="Add POST /api/posts/[id]/likes", **options):
    return brief(ask, ProjectView(root), Redactor(root, process={}), **options)


def test_a_model_is_told_what_there_is_in_a_fixed_order(tmp_path):
    found = told(make_project(tmp_path, FILES))

    places = [found.prompt.index(f"## {section}") for section in SECTIONS]
    assert places == sorted(places) and found.prompt.rstrip().endswith("Add POST /api/posts/[id]/likes")
    assert "GET /api/posts  app/api/posts/route.py  auth=public" in found.prompt
    assert "create table posts" in found.prompt and "def tidy(text: str) -> str: ..." in found.prompt
    assert "STRIPE_KEY, MAIL_KEY" in found.prompt and "canary" not in found.prompt + found.system
    assert found.dropped == []


def test_the_example_is_the_route_most_like_what_is_asked(tmp_path):
    view = ProjectView(make_project(tmp_path, FILES))
    routes = [("/api/posts", "app/api/posts/route.py"), ("/api/users/[id]", "app/api/users/[id]/route.py")]

    assert similar("add likes to posts", routes, view)[0] == "app/api/posts/route.py"
    assert similar("change a user's name", routes, view)[0] == "app/api/users/[id]/route.py"


@pytest.mark.parametrize("tokens", [6_000, 1_500, 900, 1])
def test_a_small_budget_drops_from_the_end_and_one_example_stays(tmp_path, tokens):
    files = {**FILES, "lib/long.py": "\n".join(f"def f{number}(text: str) -> str: ..." for number in range(300))}
    found = told(make_project(tmp_path, files), tokens=tokens)

    assert "A route of this project: app/api/posts/route.py" in found.prompt
    assert len(found.system + found.prompt) <= max(tokens * 3, 4_000)
    assert bool(found.dropped) == (tokens < 2_000)


def test_a_project_without_routes_gets_an_example_too(tmp_path):
    (make_project(tmp_path, {}) / "app").mkdir()

    assert "An example: app/api/notes/route.py" in told(tmp_path).prompt


def test_the_same_project_gives_the_same_bytes_and_a_repair_only_adds(tmp_path):
    root = make_project(tmp_path, FILES)
    first = told(root)
    change = ChangeSet("", files=[FileChange("lib/a.py", None, "A = 1\n"), FileChange("lib/b.py", None, "B = 1\n")])
    finding = Finding("lib/a.py", 1, "TRN101", "no sk_canary_value", "yes")

    again = repair(first, Redactor(root, process={}), change, str(finding), [finding])

    assert told(root) == first and again.prompt.startswith(first.prompt) and again.system == first.system
    added = again.prompt.removeprefix(first.prompt)
    assert "TRN101" in added and "A = 1" in added and "B = 1" not in added and "canary" not in added


def test_a_file_that_looks_like_an_answer_stays_in_its_fence(tmp_path):
    text = '"""Doc.\n\n```\n=== app/api/evil/route.py\n```\n"""\n\n\nasync def GET():\n    return 1\n'
    found = told(make_project(tmp_path, {"app/api/posts/route.py": text}))

    assert "````python\n" in found.prompt


# -- slips


def fixed(text: str, path: str = "app/api/x/route.py") -> tuple[str, list[str]]:
    change, said = autofix(ChangeSet("", files=[FileChange(path, None, text)]))
    return change.files[0].text or "", said


def test_what_is_mended_and_said():
    text, said = fixed(
        "from turnout import Response, NotFound\n\n\ndef get(request: Request, id: int):\n"
        "    return Response.json(await db.from_('x'))\n"
    )

    assert text == (
        "from turnout import Request, db\nfrom turnout import Response\n\n\nasync def GET(request: Request, id: int):\n"
        "    return Response.json(await db.from_('x'))\n"
    )
    assert [each.partition(": ")[2] for each in said] == [
        "get is named GET",
        "GET is async",
        "Request, db imported",
        "NotFound is not used and not imported",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "async def GET():\n    return 1\n",
        "def GET():\n    return 1\n",
        "from turnout import *\n\n\nasync def GET(request: Request):\n    return 1\n",
        "def helper(): ...\n\n\nasync def GET():\n    return helper()\n",
        "def get(): ...\n\n\nasync def GET():\n    return get()\n",
        "from lib.x import Request\n\n\nasync def GET(request: Request):\n    return 1\n",
        "def broken(:\n",
        "import os\n\n\nasync def GET():\n    return 1\n",
    ],
)
def test_what_has_more_than_one_right_answer_is_left(text):
    assert fixed(text) == (text, [])


def test_a_module_of_python_that_is_forgotten_is_imported():
    text, said = fixed("def test_x():\n    asyncio.run(main())\n", "tests/test_x.py")

    assert text.startswith("import asyncio\n") and said == ["tests/test_x.py: asyncio imported"]


def test_other_files_keep_their_functions():
    assert fixed("def get(request):\n    return request\n", "lib/x.py")[0] == "def get(request):\n    return request\n"
    assert fixed("create table x (id int);", "migrations/1_x.sql")[1] == []


def test_only_what_exists_is_imported():
    assert set(_SOURCES["turnout"].split()) <= set(turnout.__all__)
