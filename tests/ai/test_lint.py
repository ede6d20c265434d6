"""Every rule of the policy lint, with a case that it refuses and one that it allows."""
# ruff: noqa: E501

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from projects import make_project

from turnout.ai.changeset import ChangeSet, FileChange
from turnout.ai.lint import CODES, lint
from turnout.ai.view import ProjectView

ROUTE, LIB, TEST, SQL = "app/api/x/route.py", "lib/x.py", "tests/test_x.py", "migrations/20260102000000_x.sql"

PROJECT = {
    "lib/posts.py": "from msgspec import Struct\n\n\nclass NewPost(Struct):\n    title: str\n",
    "lib/hooks.py": "from turnout.webhooks import stripe\n\n\nasync def check(request):\n    return stripe\n",
    "migrations/20260101000000_notes.sql": "create table notes (id integer primary key, user_id text not null, body text);\n"
    "create table posts (id integer primary key, title text);\n",
    ".env.example": "WEATHER_URL=\n# OPTIONAL_KEY=\n",
    "app/api/old/route.py": 'auth = "user"\nrate_limit = "10/min"\nbody_limit = "1 MB"\n\n\nasync def POST(request, body: bytes):\n'
    "    return {}\n",
    "app/api/middleware.py": "async def middleware(request, next):\n    return await next(request)\n",
    "app/private/middleware.py": "from turnout.auth import require_user\n\n\nasync def middleware(request, next):\n"
    "    await require_user()\n    return await next(request)\n",
    "tests/test_old.py": "def test_one():\n    assert 1 + 1 == 2\n\n\ndef test_two():\n    assert 2 + 2 == 4\n",
    "lib/policies.py": "from turnout.db import policy, uid, col\n\npolicy('notes', 'select', col('user_id') == uid())\n",
}

# Code, where it stands, what is refused, what is allowed in its place.
CASES = [
    ("TRN101", LIB, "def f(x):\n    return eval(x)", "def f(x):\n    return int(x)"),
    ("TRN101", LIB, "import pickle", "import json"),
    ("TRN101", LIB, "from pickle import loads", "from json import loads"),
    ("TRN101", LIB, "import os\nos.system('ls')", "import os\nos.path.join('a', 'b')"),
    ("TRN101", LIB, "from os import system as s\ns('ls')", "from os import getpid as s\ns()"),
    ("TRN101", LIB, "import subprocess as p", "import datetime as p"),
    ("TRN101", LIB, "import builtins\nbuiltins.exec('1')", "import math\nmath.floor(1.5)"),
    ("TRN101", LIB, "import asyncio\nasync def f():\n    await asyncio.create_subprocess_exec('x')",
     "import asyncio\nasync def f():\n    await asyncio.sleep(0)"),
    ("TRN101", TEST, "import ctypes\ndef test_x():\n    assert ctypes", "import math\ndef test_x():\n    assert math.pi > 3"),
    ("TRN102", LIB, "import httpx\nc = httpx.AsyncClient(verify=False)", "import httpx\nc = httpx.AsyncClient(timeout=2)"),
    ("TRN102", LIB, "import ssl\nc = ssl._create_unverified_context()", "import ssl\nc = ssl.create_default_context()"),
    ("TRN102", LIB, "import ssl\nc = ssl.create_default_context()\nc.check_hostname = False",
     "import ssl\nc = ssl.create_default_context()\nc.check_hostname = True"),
    ("TRN103", LIB, "KEY = 'sk_" + "live_51Habcdefghijklmnopqrstu'", "KEY = 'pk'"),
    ("TRN103", LIB, "api_key = 'a8f5f167f44f4964'", "api_key = 'your api key'"),
    ("TRN104", ROUTE, "async def get(request):\n    return {}", "async def GET(request):\n    return {}"),
    ("TRN105", LIB, "from turnout import db\nasync def f(x):\n    await db.sql(f'select * from posts where id = {x}')",
     "from turnout import db\nasync def f(x):\n    await db.sql('select * from posts where id = :x', x=x)"),
    ("TRN105", LIB, "def f(x):\n    return 'select * from posts where id = ' + x", "def f(x):\n    return 'select one ' + x"),
    ("TRN105", LIB, "def f(x):\n    return 'delete from posts where id = %s' % x", "def f(x):\n    return '%s posts' % x"),
    ("TRN105", LIB, "def f(x):\n    return 'update posts set a = {}'.format(x)", "def f(x):\n    return 'hello {}'.format(x)"),
    ("TRN105", LIB, "def f(c, x):\n    c.execute('%s' % x)", "def f(c, x):\n    c.execute('select 1 '\n        'from posts')"),
    ("TRN106", LIB, "import time\nasync def f():\n    time.sleep(1)", "import time\ndef f():\n    time.sleep(1)"),
    ("TRN106", LIB, "import httpx\nasync def f():\n    return httpx.get('https://x.example')",
     "import httpx\nasync def f():\n    async with httpx.AsyncClient() as c:\n        return await c.get('https://x.example')"),
    ("TRN107", LIB, "from turnout import env\nKEY = env['STRIPE_KEY']", "from turnout import env\nKEY = env['WEATHER_URL']"),
    ("TRN107", LIB, "import os\nKEY = os.getenv('STRIPE_KEY')", "import os\nKEY = os.getenv('OPTIONAL_KEY')"),
    ("TRN107", LIB, "import os\nKEY = os.environ['STRIPE_KEY']", "import os\nKEY = os.environ['NEW_KEY']"),
    ("TRN107", LIB, "from turnout.webhooks import stripe\nh = stripe.webhook(secrets='OTHER_SECRET')",
     "from turnout.webhooks import stripe\nh = stripe.webhook(secrets='NEW_KEY')"),
    ("TRN108", ROUTE, "async def POST(request):\n    return await request.json()",
     "from lib.posts import NewPost\nasync def POST(request, body: NewPost):\n    return body"),
    ("TRN109", "app/api/webhooks/x/route.py", "async def POST(request):\n    return await request.text()",
     "from turnout.webhooks import stripe\nPOST = stripe.webhook(secrets='NEW_KEY')"),
    ("TRN109", "app/api/webhooks/x/route.py", "async def POST(request):\n    return await request.text()",
     "from lib.hooks import check\nasync def POST(request):\n    return await check(request)"),
    ("TRN110", ROUTE, "from turnout import db\nasync def POST(request, body: bytes):\n"
     "    await db.from_('notes').insert({'body': ''})",
     "from turnout import db\nauth = 'user'\nasync def POST(request, body: bytes):\n"
     "    await db.from_('notes').insert({'body': ''})"),
    ("TRN110", ROUTE, "from turnout import db\nasync def DELETE(request):\n    await db.from_('notes').delete().eq('id', 1)",
     "from turnout import db\nasync def DELETE(request):\n    await db.from_('posts').delete().eq('id', 1)"),
    ("TRN110", ROUTE, "from turnout import db\nasync def PUT(request):\n    await db.from_('notes').update({}).eq('id', 1)",
     "from turnout import db\nfrom turnout.auth import require_user\nasync def PUT(request):\n    await require_user()\n"
     "    await db.from_('notes').update({}).eq('id', 1)"),
    ("TRN111", LIB, "from turnout import db\nasync def f():\n    await db.from_('posts').delete()",
     "from turnout import db\nasync def f():\n    await db.from_('posts').delete().eq('id', 1)"),
    ("TRN111", LIB, "from turnout import db\nasync def f():\n    await db.from_('posts').update({}).all_rows()",
     "from turnout import db\nasync def f():\n    await db.from_('posts').update({}).in_('id', [1])"),
    ("TRN112", ROUTE, "cors = {'origins': ['*'], 'credentials': True}\nasync def GET(request):\n    return {}",
     "cors = {'origins': ['https://a.example'], 'credentials': True}\nasync def GET(request):\n    return {}"),
    ("TRN113", "app/api/old/route.py", "rate_limit = '10/min'\nbody_limit = '1 MB'\nasync def POST(request, body: bytes):\n    return {}",
     "auth = 'user'\nrate_limit = '10/min'\nbody_limit = '1 MB'\nasync def POST(request, body: bytes):\n    return {}"),
    ("TRN113", "app/api/old/route.py", "auth = 'user'\nrate_limit = '90/min'\nasync def POST(request, body: bytes):\n    return {}",
     "auth = 'admin'\nrate_limit = '9/min'\nasync def POST(request, body: bytes):\n    return {}"),
    ("TRN113", "app/api/old/route.py", "auth = 'user'\nasync def POST(request, body: bytes):\n    return {}",
     "auth = 'user'\nrate_limit = '10 / minute'\nasync def POST(request, body: bytes):\n    return {}"),
    ("TRN113", "app/api/old/route.py",
     "auth = 'user'\nrate_limit = '10/min'\nbody_limit = '1 GB'\nasync def POST(request, body: bytes):\n    return {}",
     "auth = 'user'\nrate_limit = '10/min'\nbody_limit = '500 KB'\nasync def POST(request, body: bytes):\n    return {}"),
    ("TRN113", "app/api/old/route.py",
     "auth = 'user'\nrate_limit = '10/min'\ncors = '*'\nasync def POST(request, body: bytes):\n    return {}",
     "auth = 'user'\nrate_limit = '10/min'\ncors = 'https://a.example'\nasync def POST(request, body: bytes):\n    return {}"),
    ("TRN113", "lib/policies.py", "X = 1", "from turnout.db import policy, uid, col\n\n"
     "policy('notes', 'select', col('user_id') == uid())\npolicy('posts', 'select', col('id') == 1)"),
    ("TRN113", "app/private/middleware.py", "async def middleware(request, next):\n    return await next(request)",
     "from turnout.auth import require_user\nasync def middleware(request, next):\n"
     "    await require_user('editor')\n    return await next(request)"),
    ("TRN114", "tests/test_old.py", "def test_one():\n    assert 1 + 1 == 2",
     "def test_one():\n    assert 1 + 1 == 2\ndef test_two():\n    assert 2 + 2 == 4\ndef test_three():\n    assert 3 - 3 == 0"),
    ("TRN114", TEST, "import pytest\n@pytest.mark.skip\ndef test_x():\n    assert 1 + 1 == 2",
     "import pytest\n@pytest.mark.parametrize('x', [1])\ndef test_x(x):\n    assert x + 1 == 2"),
    ("TRN114", TEST, "def test_x():\n    print('fine')", "def check(x):\n    assert x\ndef test_x():\n    check(1 + 1)"),
    ("TRN114", TEST, "def test_x():\n    assert True", "import pytest\ndef test_x():\n    with pytest.raises(KeyError):\n        {}[1]"),
    ("TRN114", "tests/conftest.py", "def pytest_runtest_makereport(item, call):\n    return None",
     "import pytest\n@pytest.fixture\ndef user():\n    return 'ada'"),
    ("TRN114", "tests/conftest.py", "collect_ignore = ['test_old.py']", "NAMES = ['test_old.py']"),
    ("TRN115", SQL, "drop table posts;", "create table drops (id integer primary key); -- drop table posts"),
    ("TRN115", SQL, "delete from posts;", "create table y (id int references posts(id) on delete cascade);"),
    ("TRN115", SQL, "alter table posts alter column title type int;", "alter table posts add column type text;"),
    ("TRN115", SQL, "alter table posts drop column title;", "insert into posts (title) values ('drop table posts');"),
    ("TRN115", SQL, "alter table posts rename to entries;", "create index posts_title on posts (title);"),
    ("TRN116", LIB, "import left_pad_pro", "import msgspec"),
    ("TRN116", LIB, "from turnout import FastAPI", "from turnout import Response"),
    ("TRN116", LIB, "from turnout.stripe import x", "from turnout.webhooks import stripe"),
    ("TRN116", LIB, "from lib.absent import x", "from lib.posts import NewPost"),
    ("TRN116", LIB, "from lib.posts import OldPost", "import lib.posts"),
    ("TRN116", ROUTE, "from .absent import y\nasync def GET(request):\n    return y",
     "from turnout import db\nasync def GET(request):\n    return {}"),
    ("TRN117", LIB, "def f(:", "def f():\n    pass"),
    ("TRN118", LIB, "import sys\nsys.modules.clear()", "import sys\nX = sys.maxsize"),
    ("TRN118", LIB, "import gc", "import math"),
    ("TRN118", LIB, "X = ().__class__.__subclasses__()", "X = ().__class__.__name__"),
    ("TRN118", LIB, "def f(a, b):\n    return getattr(a, b)", "def f(a):\n    return getattr(a, 'name')"),
    ("TRN118", LIB, "import turnout\nturnout.Response = None", "import turnout\nX = turnout.Response"),
    ("TRN118", LIB, "from turnout import testing\ntesting.Client = None", "from lib.posts import NewPost\nNewPost.kind = 1"),
    ("TRN118", LIB, "from turnout.testing import Client\nsetattr(Client, 'get', None)",
     "def f(x):\n    setattr(x, 'name', None)"),
    ("TRN118", LIB, "from turnout.ai import jail", "from turnout import env"),
    ("TRN118", LIB, "import os\ndef f():\n    os._exit(0)", "import os\ndef f():\n    return os.sep"),
    ("TRN118", LIB, "import pytest", "import decimal"),
    ("TRN119", SQL, "attach database 'x.db' as x;", "create table attachments (id integer primary key);"),
    ("TRN119", SQL, "copy posts to program 'id';", "create table copies (id integer primary key);"),
    ("TRN119", SQL, "alter table posts disable row level security;", "alter table posts enable row level security;"),
    ("TRN119", SQL, "insert into _turnout_migrations values (1);", "insert into posts (title) values ('_turnout_x');"),
    ("TRN119", SQL, "update auth_users set role = 'admin';",
     "create table y (id int references auth_users (id) on delete set null);"),
    ("TRN120", LIB, "X = open('.env.local')", "X = '.env.example'"),
    ("TRN120", LIB, "X = open('/etc/passwd')", "X = '/api/etc'"),
    ("TRN121", ROUTE, "import os\nasync def GET(request):\n    return dict(os.environ)",
     "import os\nasync def GET(request):\n    return os.environ.get('WEATHER_URL')"),
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"), PROJECT)


def codes(root: Path, path: str, text: str | None, **options: bool) -> set[str]:
    """The codes that *text* at *path* gives."""
    change = ChangeSet("", files=[ProjectView(root).change(path, text and dedent(text) + "\n")], env=["NEW_KEY"])
    return {finding.code for finding in lint(change, root, **options)}


@pytest.mark.parametrize(("code", "path", "refused", "allowed"), CASES)
def test_each_rule_refuses_one_and_allows_the_other(
    root: Path, code: str, path: str, refused: str, allowed: str
) -> None:
    assert code in codes(root, path, refused)
    assert codes(root, path, allowed) == set()


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(CODES)


@pytest.mark.parametrize("path", ["tests/test_old.py", "lib/policies.py", "app/private/middleware.py"])
def test_what_guards_cannot_be_removed(root: Path, path: str) -> None:
    assert codes(root, path, None) & {"TRN113", "TRN114"}


def test_a_file_that_guards_nothing_can_be_removed(root: Path) -> None:
    assert codes(root, "lib/posts.py", None) == set()


def test_loss_of_data_is_allowed_when_it_was_asked_for(root: Path) -> None:
    assert codes(root, SQL, "drop table posts;", allow_destructive=True) == set()
    assert codes(root, SQL, "copy posts to program 'id';", allow_destructive=True) == {"TRN119"}


def test_a_middleware_above_may_ask_for_the_user(root: Path) -> None:
    code = "from turnout import db\nasync def POST(request, body: bytes):\n    await db.from_('notes').insert({})"

    assert codes(root, "app/private/x/route.py", code) == set()


def test_a_finding_names_file_line_code_and_cure(root: Path) -> None:
    change = ChangeSet("", files=[FileChange(ROUTE, None, "\n\nasync def get(request):\n    return {}\n")])

    assert str(lint(change, root)[0]) == "app/api/x/route.py:3: TRN104 'get' is not a handler — fix: name it GET"


def test_files_of_the_change_can_import_each_other(root: Path) -> None:
    files = [
        FileChange("lib/new.py", None, "ANSWER = 42\n"),
        FileChange(ROUTE, None, "from lib.new import ANSWER\n\n\nasync def GET(request):\n    return ANSWER\n"),
    ]

    assert lint(ChangeSet("", files=files), root) == []


def test_odd_text_is_a_finding_and_no_crash(root: Path) -> None:
    for text in ("\0", "(" * 5_000, "x = '\ud800'", "\\", "if", "\ufeff" * 3, "a" * 100_000 + "("):
        assert "TRN117" in codes(root, LIB, text) or text.startswith("\ufeff")
