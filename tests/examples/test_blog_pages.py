"""The pages of examples/blog by their answers: what is kept and for whom, what an action changes, whose a post is."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from turnout import env, mail
from turnout.db import db, migrate
from turnout.routing.module import unload
from turnout.testing import Answer, Client

EXAMPLE = Path(__file__).parents[2] / "examples" / "blog"
BROWSER = {"accept": "text/html,*/*;q=0.8", "sec-fetch-site": "same-origin"}
POST = {"title": "First", "content": "Hello!", "name": "Ada"}


@pytest.fixture
def blog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "blog"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("data", "__pycache__", ".env*.local", ".turnout"))
    (root / "data").mkdir()
    monkeypatch.setattr(sys, "path", sys.path[:])
    for name in ("DATABASE_URL", "STORE_URL", "SUPABASE_URL", "CONTACT_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    yield root
    unload(root)
    env.unload()


@asynccontextmanager
async def open_blog(root: Path) -> AsyncIterator[Client]:
    async with Client(root=root, headers=BROWSER) as client:
        await migrate.migrate(db, root / "migrations")
        yield client


async def sign_up(client: Client, email: str = "ada@example.com") -> None:
    client.cookies = {}
    answer = await client.post("/auth/sign-up", form={"email": email, "password": "correct horse"})
    assert (answer.status, answer.headers["location"]) == (303, "/")


async def send(client: Client, page: str, **fields: str) -> Answer:
    """Fill in the form of *page* and send it, as a browser without scripts does."""
    form = re.search(r'<form[^>]* action="(/_actions/[^"]+)"', (await client.get(page)).text)
    assert form is not None
    referer = {"referer": f"http://localhost{page}"}
    return await client.post(form[1].replace("&amp;", "&"), form=fields, headers=referer)


def how(answer: Answer) -> str:
    return (answer.headers.get("cache-status") or "made for this request").removeprefix("turnout; ")


# -- what is kept


async def test_a_list_that_many_ask_for_is_made_once(blog: Path) -> None:
    async with open_blog(blog) as client:
        answers = await asyncio.gather(*[client.get("/posts") for _ in range(50)])
        answers += [await client.get("/posts") for _ in range(50)]

        assert Counter(how(answer).partition(";")[0] for answer in answers) == {"fwd=miss": 1, "hit": 99}
        assert len({answer.body for answer in answers}) == 1
        # It is made by nobody's wish: a row that comes in behind the app's back is not seen.
        await db.from_("posts").insert({"title": "Unseen", "content": "x"})
        assert "Unseen" not in (await client.get("/posts")).text


@pytest.mark.parametrize("page", ["/", "/posts", "/feed.xml"])
async def test_an_action_ends_what_was_kept_of_the_posts(blog: Path, page: str) -> None:
    async with open_blog(blog) as client:
        await sign_up(client)
        ada = client.cookies

        async def read() -> Answer:
            client.cookies = {}
            answer = await client.get(page)
            client.cookies = ada
            return answer

        assert POST["title"] not in (await read()).text
        assert how(await read()) == "hit"

        made = await send(client, "/posts/new", **POST)
        after = await read()
        assert POST["title"] in after.text and how(after) == "fwd=miss; stored"
        assert how(await read()) == "hit"

        path = made.headers["location"]
        await send(client, f"{path}/edit", title="Second", content="Hello!")
        assert "Second" in (await read()).text
        await send(client, f"{path}/delete")
        assert "Second" not in (await read()).text


@pytest.mark.parametrize("page", ["/", "/posts", "/feed.xml"])
async def test_the_api_ends_what_was_kept_of_the_posts(blog: Path, page: str) -> None:
    async with open_blog(blog) as client:
        for method, path, body, seen in (
            ("POST", "/api/posts", {"title": "By a program", "content": "x"}, "By a program"),
            ("PUT", "/api/posts/1", {"title": "By another", "content": "x"}, "By another"),
        ):
            await client.get(page)
            await client.request(method, path, json=body)
            assert seen in (await client.get(page)).text
        await client.delete("/api/posts/1")
        assert "By another" not in (await client.get(page)).text


async def test_no_page_that_differs_from_reader_to_reader_is_kept(blog: Path) -> None:
    async with open_blog(blog) as client:
        await sign_up(client)
        path = (await send(client, "/posts/new", **POST)).headers["location"]
        for page in (path, "/account", "/posts/new", f"{path}/edit", f"{path}/delete"):
            answer = await client.get(page)
            assert how(answer) == "made for this request", page
            assert "no-store" in answer.headers["cache-control"], page
        assert "Edit" in (await client.get(path)).text

        client.cookies = {}
        assert "Edit" not in (await client.get(path)).text
        await sign_up(client, "eve@example.com")
        assert "Edit" not in (await client.get(path)).text


async def test_a_message_for_one_reader_is_shown_to_that_one_once_and_kept_for_nobody(blog: Path) -> None:
    async with open_blog(blog) as client:
        await client.get("/posts")
        await send(client, "/contact", name="Ada", email="ada@example.com", message="Hi")
        carrying = dict(client.cookies)

        said = await client.get("/posts")
        assert "Thank you. Your message is on its way." in said.text
        assert said.headers["cache-control"] == "private, no-store"

        assert "Thank you" not in (await client.get("/posts")).text
        client.cookies = {}
        assert "Thank you" not in (await client.get("/posts")).text
        client.cookies = carrying
        assert how(await client.get("/posts")) == "made for this request"


async def test_a_kept_page_that_has_not_changed_leaves_the_browsers_copy_its_security_policy(blog: Path) -> None:
    async with open_blog(blog) as client:
        for path in ("/posts", "/style.css"):
            first = await client.get(path)
            again = await client.get(path, headers={"if-none-match": first.headers["etag"]})
            assert (again.status, again.headers.get("content-security-policy")) == (304, None)


# -- whose a post is


async def test_only_its_author_changes_a_post_by_page_or_api(blog: Path) -> None:
    async with open_blog(blog) as client:
        await sign_up(client)
        path = (await send(client, "/posts/new", **POST)).headers["location"]
        form = re.search(r'action="(/_actions/[^"]+)"', (await client.get(f"{path}/edit")).text)
        assert form is not None
        for email in (None, "eve@example.com"):
            client.cookies = {}
            if email:
                await sign_up(client, email)
            changed = await client.post(form[1], form={"title": "Forged", "content": "x"})
            assert changed.status == 403 and "somebody else" in changed.text
            body = {"title": "Forged", "content": "x"}
            assert (await client.put(f"/api{path}", json=body)).json()["code"] == "not_the_author"
            assert (await client.delete(f"/api{path}")).status == 403
        assert (await client.get(f"/api{path}")).json()["title"] == "First"

        # What the API has made is nobody's.
        made = (await client.post("/api/posts", json={"title": "Open", "content": "x"})).json()
        assert (await client.delete(f"/api/posts/{made['id']}")).status == 204


async def test_what_is_sent_twice_is_there_once(blog: Path) -> None:
    async with open_blog(blog) as client:
        await sign_up(client)
        both = await asyncio.gather(*[send(client, "/posts/new", **POST) for _ in range(2)])
        assert both[0].headers["location"] == both[1].headers["location"]
        for _ in range(2):
            await send(client, "/guestbook", name="Ada", message="Hi")
            await send(client, "/contact", name="Ada", email="ada@example.com", message="Hi")

        assert [len(await db.from_(table).select()) for table in ("posts", "guestbook", "messages")] == [1, 1, 1]
        assert len(mail.outbox) == 1


async def test_too_many_messages_are_refused_with_what_was_typed(blog: Path) -> None:
    async with open_blog(blog) as client:
        for number in range(10):
            assert (await send(client, "/guestbook", name="Ada", message=f"Message {number}")).status == 303

        answer = await send(client, "/guestbook", name="Ada", message="One too many")

        assert answer.status == 429
        assert "a little too fast" in answer.text and "One too many</textarea>" in answer.text
        assert (await send(client, "/contact", name="Ada", email="a@example.com", message="Hi")).status == 303


async def test_errors_are_pages_for_people_and_problems_for_programs(blog: Path) -> None:
    async with open_blog(blog) as client:
        page = await client.get("/posts/7")
        assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert "<h1>Nothing here</h1>" in page.text
        for path, accept in (("/posts/7", "application/json"), ("/nothing", "*/*"), ("/api/nothing", "text/html")):
            problem = await client.get(path, headers={"accept": accept})
            assert (problem.status, problem.headers["content-type"]) == (404, "application/problem+json"), path


async def test_the_samples_are_there_once_and_nobodys(blog: Path) -> None:
    async with open_blog(blog) as client:
        for _ in range(2):
            assert await migrate.seed(db, blog / "migrations") is not None
        posts = (await client.get("/api/posts")).json()
        assert len(posts) == 7 and "Mabel Finch" in (await client.get("/posts")).text
        assert (await client.delete("/api/posts/1")).status == 403
        assert "Write something" in (await client.get("/")).text
        await client.post("/api/posts", json={"title": "Newest", "content": "x"})
        assert "Newest" in (await client.get("/")).text


PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


async def test_a_picture_comes_with_its_post_and_goes_with_it(blog: Path) -> None:
    async with open_blog(blog) as client:
        await sign_up(client)
        refused = await send_picture(client, b"<svg onload='alert(1)'>", "A trick")
        assert refused.status == 422 and "Choose a PNG, JPEG or GIF of up to 2 MB." in refused.text
        assert "A trick" in refused.text and "First" in refused.text
        assert "This is required." in (await send_picture(client, PIXEL, "")).text
        assert "up to 2 MB" in (await send_picture(client, PIXEL + bytes(2_000_000), "Large")).text

        path = (await send_picture(client, PIXEL, 'A "pixel"')).headers["location"]

        assert f'src="{path}/picture" alt="A &#34;pixel&#34;"' in (await client.get(path)).text
        picture = await client.get(f"{path}/picture")
        assert (picture.status, picture.headers["content-type"], picture.body) == (200, "image/png", PIXEL)
        assert picture.headers["x-content-type-options"] == "nosniff"
        await send(client, f"{path}/delete")
        assert (await client.get(f"{path}/picture")).status == 404
        assert await db.from_("pictures").select() == []


async def send_picture(client: Client, content: bytes, description: str) -> Answer:
    form = re.search(r'action="(/_actions/[^"]+)"', (await client.get("/posts/new")).text)
    assert form is not None
    fields = {**POST, "description": description}
    part = "--edge\r\ncontent-disposition: form-data; name="
    parts = [f'{part}"{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    parts.append(f'{part}"picture"; filename="evil.html"\r\ncontent-type: text/html\r\n\r\n')
    body = "".join(parts).encode() + content + b"\r\n--edge--\r\n"
    headers = {"content-type": "multipart/form-data; boundary=edge", "referer": "http://localhost/posts/new"}
    return await client.post(form[1], body=body, headers=headers)
