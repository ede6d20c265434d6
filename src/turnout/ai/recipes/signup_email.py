"""``signup-email``: an account by POST, and one welcome mail for it, in the transaction that makes the account.

Where a sign-up route exists it is edited at the one place that is certain: the only ``auth_service().sign_up(...)``
of its POST gets ``on_new=welcome``. Anything else is not guessed at; the line to add is in the summary.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..changeset import ChangeSet, FileChange, RouteClaim
from .base import Argument, Recipe, check_path, fill, new_files, new_route, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""POST @PATH@: a new account, and one welcome mail for it."""

from turnout import Request, Response
from turnout.auth import auth_service
from turnout.auth.models import CallContext

from lib.welcome import NewUser, welcome

auth = "public"
rate_limit = "10/min"


async def POST(request: Request, body: NewUser) -> Response:
    """Make the account; the mail is part of the transaction that does, so there is never one without the other.

    Whether the address was known before cannot be told from the answer, unless auto_confirm is set.
    """
    made = await auth_service().sign_up(
        body.email,
        body.password,
        data={"name": body.name},
        context=CallContext(request.ip, request.headers.get("user-agent")),
        on_new=welcome,
    )
    return Response.json({"id": made.user.id, "email": made.user.email} if made.user else None, status=201)
'''

MODEL = '''
# A name goes into the subject of a mail, and a subject is one line: no control characters, no turned text.
OneLine = Annotated[
    str, Meta(max_length=100, pattern=r"^[^\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069]*\\Z")
]


class NewUser(Struct):
    """What somebody sends to sign up."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Annotated[str, Meta(min_length=8, max_length=72)]
    name: OneLine = ""
'''

LIB = '''\
"""@HEAD@"""
@IMPORTS@@MODEL@

async def welcome(user: User) -> None:
    """Have *user* greeted; awaited in the transaction that makes the account."""
    await send_welcome.enqueue(user.id, user.email, str(user.user_metadata.get("name") or ""))


@task(retries=8, backoff_s=30)
async def send_welcome(user_id: str, email: str, name: str) -> None:
    """Send the mail. It is tried again while the mail server is away, and goes out once however often it is tried."""
    await send_email(
        to=email,
        subject=f"Welcome, {name}!" if name else "Welcome!",
        template="welcome",
        data={"name": name},
        idempotency_key=f"welcome/{user_id}",
    )
'''

IMPORTS_WITH_MODEL = """
from typing import Annotated

from msgspec import Meta, Struct
from turnout import send_email, task
from turnout.auth.models import User
"""

IMPORTS = """
from turnout import send_email, task
from turnout.auth.models import User
"""

HTML = """\
<!doctype html>
<html lang="en">
<body>
<h1>Welcome{% if name %}, {{ name }}{% endif %}!</h1>
<p>Thank you for signing up. We are glad to have you.</p>
{% if origin is defined %}<p><a href="{{ origin }}">Go to the site</a></p>
{% endif %}
<p>If it was not you who signed up, you need not do anything.</p>
</body>
</html>
"""

TEXT = """\
Welcome{% if name %}, {{ name }}{% endif %}!

Thank you for signing up. We are glad to have you.
{% if origin is defined %}
Go to the site: {{ origin }}
{% endif %}
If it was not you who signed up, you need not do anything.
"""

TEST = '''\
"""POST @PATH@: one account, one welcome mail, and nothing for strangers to learn."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from turnout.auth import auth_service
from turnout.db import db, migrate
from turnout.mail import Message, outbox
from turnout.tasks import drain
from turnout.testing import Client

ROOT = Path(__file__).parent.parent
ADA = {"email": "ada@example.com", "password": "correct horse", "name": "Ada"}


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    return lambda: asyncio.run(main())


async def welcomes() -> list[Message]:
    """The welcome mails so far; the mail that confirms an address is another one."""
    await drain()
    return [message for message in outbox if message.subject.startswith("Welcome")]


@with_client
async def test_signing_up_makes_an_account_and_sends_one_welcome_mail(client: Client) -> None:
    answer = await client.post("@PATH@", json=ADA)

    assert (answer.status, answer.json()["email"]) == (201, "ada@example.com")
    users, _ = await auth_service().list_users()
    assert [user.email for user in users] == ["ada@example.com"]
    (message,) = await welcomes()
    assert ([each.email for each in message.to], message.subject) == (["ada@example.com"], "Welcome, Ada!")
    assert "Welcome, Ada!" in message.text and "<h1>Welcome, Ada!</h1>" in (message.html or "")


@with_client
async def test_a_known_address_gets_no_second_mail_and_no_second_account(client: Client) -> None:
    for _ in range(3):
        assert (await client.post("@PATH@", json=ADA)).status < 500

    assert len(await welcomes()) == 1
    assert len((await auth_service().list_users())[0]) == 1


@with_client
async def test_the_answer_holds_no_password_and_no_token(client: Client) -> None:
    answer = await client.post("@PATH@", json=ADA)

    assert set(answer.json()) == {"id", "email"}


@with_client
async def test_a_name_is_text_in_the_mail_and_never_markup(client: Client) -> None:
    await client.post("@PATH@", json={**ADA, "name": "<b>Ada</b>"})

    (message,) = await welcomes()
    assert "&lt;b&gt;Ada&lt;/b&gt;" in (message.html or "") and "<b>" not in (message.html or "")


@with_client
async def test_line_breaks_in_a_name_or_an_address_are_refused(client: Client) -> None:
    for name in ("Ada\\r\\nBcc: eve@example.com", "Ada\\nX: y", "Ada\\u2028", "\\u202eadA"):
        assert (await client.post("@PATH@", json={**ADA, "name": name})).status == 422
    for email in ("ada@example.com\\nBcc: eve@example.com", "ada", "ada@", "Ada <ada@example.com>"):
        assert (await client.post("@PATH@", json={**ADA, "email": email})).status in (400, 422)

    assert await welcomes() == []
    assert (await auth_service().list_users())[0] == []


@with_client
async def test_what_is_missing_or_too_short_is_named(client: Client) -> None:
    answer = await client.post("@PATH@", json={"email": "ada@example.com", "password": "short"})
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, "/password")

    answer = await client.post("@PATH@", json={"password": "correct horse"})
    assert answer.status == 422


@with_client
async def test_nobody_makes_himself_an_admin(client: Client) -> None:
    await client.post("@PATH@", json={**ADA, "role": "service_role", "app_metadata": {"role": "admin"}, "id": "1"})

    ((user,), _) = await auth_service().list_users()
    assert (user.role, user.app_metadata.get("role")) == ("authenticated", None)
'''

TEST_LIB = '''\
"""The welcome mail: sent once for each account, with the name as text."""

import asyncio
import importlib.util
from pathlib import Path

import pytest
from turnout.mail import outbox
from turnout.tasks import drain
from turnout.testing import Client

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))


def test_each_account_is_greeted_once() -> None:
    async def test() -> None:
        async with Client(root=ROOT):
            assert importlib.util.find_spec("lib.welcome") is not None
            from lib.welcome import send_welcome

            for _ in range(2):
                await send_welcome.enqueue("user-1", "ada@example.com", "<b>Ada</b>")
            await drain()

            (message,) = outbox
            assert message.subject == "Welcome, <b>Ada</b>!"
            assert "&lt;b&gt;Ada" in (message.html or "")

    asyncio.run(test())
'''

KNOWN_PATHS = ("/api/signup", "/api/sign-up", "/api/register", "/api/auth/signup", "/api/auth/register")
NEEDS = ["turnout[auth,durable,templates]"]


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A sign-up route and its mail; or the mail alone, where a sign-up route is there."""
    path = check_path(RECIPE.complete(args)["path"])
    named = path != RECIPE.arguments[0].default
    there = _existing(project, path, (path,) if named else (path, *KNOWN_PATHS))
    if there is not None:
        return _beside(project, there)
    files = {
        new_route(project, path): fill(ROUTE, path=path),
        "lib/welcome.py": fill(
            LIB, head="What it takes to sign up, and the mail that greets a new user.", imports=IMPORTS_WITH_MODEL,
            model=MODEL,
        ),
        "templates/mail/welcome.html": HTML,
        "templates/mail/welcome.txt": TEXT,
        f"tests/test_{slug(path)}.py": fill(TEST, path=path),
    }  # fmt: skip
    return ChangeSet(
        summary=f"POST {path} makes an account and sends one welcome mail: written down in the transaction that makes "
        "the account, and sent by a worker.",
        contract=[RouteClaim("POST", path, "public", [201, 400, 422, 429])],
        files=new_files(project, files),
        needs=NEEDS,
    )


def _existing(project: ProjectView, path: str, paths: tuple[str, ...]) -> str | None:
    """The file of the sign-up route that is there, relative to the project."""
    for route in project.routes().routes:
        if route.pattern.text in paths:
            return route.file.relative_to(project.root).as_posix()
    return None


def _beside(project: ProjectView, route: str) -> ChangeSet:
    """The mail, and its place in *route* if that is certain."""
    files = new_files(
        project,
        {
            "lib/welcome.py": fill(LIB, head="The mail that greets a new user.", imports=IMPORTS, model=""),
            "templates/mail/welcome.html": HTML,
            "templates/mail/welcome.txt": TEXT,
            "tests/test_welcome.py": TEST_LIB,
        },
    )
    edited = edit(project.read(route) or "")
    if edited is not None:
        return ChangeSet(
            summary=f"{route} sends one welcome mail for each new account, as part of the transaction that makes it.",
            files=[project.change(route, edited), *files],
            needs=NEEDS,
        )
    return ChangeSet(
        summary=f"The welcome mail is in lib/welcome.py. {route} is not changed, since where it makes a user is not "
        "certain; import send_welcome from lib.welcome there, and in the transaction that makes the user add:\n"
        "    await send_welcome.enqueue(str(user_id), email, name)",
        files=_ordered(files),
        needs=NEEDS,
    )


def _ordered(files: list[FileChange]) -> list[FileChange]:
    return sorted(files, key=lambda each: each.path)


def edit(source: str) -> str | None:
    """*source* with ``on_new=welcome`` in the only ``auth_service().sign_up(...)`` of its POST; None if unsure."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    posts = [node for node in tree.body if isinstance(node, ast.AsyncFunctionDef) and node.name == "POST"]
    if len(posts) != 1 or _is_used(tree, "welcome"):
        return None
    calls = [
        node
        for node in ast.walk(posts[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sign_up"
    ]
    if len(calls) != 1 or not _is_service(calls[0].func) or any(each.arg == "on_new" for each in calls[0].keywords):
        return None
    last_import = max(
        (node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))),
        key=lambda node: node.lineno,
        default=None,
    )
    if last_import is None:
        return None
    return _inserted(source, calls[0], last_import)


def _is_used(tree: ast.Module, name: str) -> bool:
    """Whether *name* means something in the module already."""
    for node in ast.walk(tree):
        if isinstance(node, ast.alias) and (node.asname or node.name) == name:
            return True
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name == name:
            return True
        if isinstance(node, ast.Name) and node.id == name:
            return True
    return False


def _is_service(call: ast.expr) -> bool:
    """Whether it is ``auth_service().sign_up``."""
    receiver = call.value if isinstance(call, ast.Attribute) else None
    return isinstance(receiver, ast.Call) and isinstance(receiver.func, ast.Name) and receiver.func.id == "auth_service"


def _inserted(source: str, call: ast.Call, last_import: ast.stmt) -> str | None:
    lines = source.encode().splitlines(keepends=True)  # columns of a syntax tree count bytes
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def place(line: int | None, column: int | None) -> int:
        return starts[(line or 1) - 1] + (column or 0)

    given: list[ast.expr] = [*call.args, *(each.value for each in call.keywords)]
    if not given:
        return None
    last = max(given, key=lambda node: place(node.end_lineno, node.end_col_offset))
    data = b"".join(lines)
    end, close = place(last.end_lineno, last.end_col_offset), place(call.end_lineno, call.end_col_offset) - 1
    tail = data[end:close].decode()
    if tail.strip() not in ("", ","):
        return None  # a comment or a parenthesis: not the plain end of a call
    if "\n" in tail:
        first = lines[last.lineno - 1].decode()
        indent = first[: len(first) - len(first.lstrip())]
        new = f",\n{indent}on_new=welcome,\n" + tail.rpartition("\n")[2]
    else:
        new = ", on_new=welcome"
    at = starts[last_import.end_lineno or last_import.lineno]
    gap = "" if _is_of_project(last_import) else "\n"
    return (data[:at].decode() + f"{gap}from lib.welcome import welcome\n") + (
        data[at:end].decode() + new + data[close:].decode()
    )


def _is_of_project(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.level > 0 or (node.module or "").split(".")[0] == "lib")


RECIPE = Recipe(
    name="signup-email",
    summary="sign-up by POST, and one welcome mail for each new account",
    plan=plan,
    arguments=(Argument("path", "where the route is", "/api/signup"),),
    signs=(
        (r"\bwelcom\w*", 3),
        (r"\be?-?mails?\b|\bemail\w*", 1.5),
        (r"\bsign(?:s|ed|ing)?[ -]?up\b|/signup\b|\bregist(?:er|ers|ered|ration)\b", 3),
        (r"\bnew (?:user|account|member)s?\b", 2.5),
        (r"\b(?:onboarding|greet\w*)\b", 2),
        (r"\bcreates? (?:an? )?account", 1.5),
        (r"\b(?:newsletter|contact|reset|forgot\w*|password|invoice|receipt|verification)\b", -3),
    ),
    read=path_in,
)
