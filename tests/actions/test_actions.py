"""Actions through the app: what they take and what comes back (http.md 9)."""

from __future__ import annotations

import asyncio
import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of

from turnout.actions import registry
from turnout.db import db
from turnout.errors import ConfigError
from turnout.testing import Answer, Client

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "sec-fetch-site": "same-origin"}
FROM = {**PAGE, "referer": "http://localhost/posts?tab=1#end"}

ACTIONS = """
import enum
import uuid
from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from turnout import (
    ActionError, Conflict, FormData, NotFound, Request, Response, UploadFile, action, after, cookies, current_request,
    flash, redirect, revalidate_path, revalidate_tag,
)

SEEN = []


class Post(Struct):
    title: Annotated[str, Meta(min_length=3)]
    stars: int = 0


@action
async def form(form_data: FormData):
    return [[name, value if isinstance(value, str) else value.filename] for name, value in form_data.items()]


@action
async def fields(
    title: Annotated[str, Meta(min_length=3, max_length=5)],
    pages: int,
    on: bool,
    kind: Literal["note", "tale"] = "note",
    day: date | None = None,
    tags: list[str] = [],
    note: str | None = None,
    size: Annotated[float, Meta(ge=1, le=9)] = 1.0,
):
    return [title, pages, on, kind, day, tags, note, size]


@action
async def body(body: Post, request: Request):
    return [body.title, body.stars, request.method]


@action
async def photo(photo: UploadFile, more: list[UploadFile], other: UploadFile | None = None):
    return [photo.filename, (await photo.read()).decode(), len(more), other is None]


@action
def in_a_thread(word: str, /, *, loud: bool = False):
    return word.upper() if loud else word


@action
async def nothing():
    SEEN.append(current_request().headers.get("x-middleware"))


@action
async def go(where: str, status: int = 307):
    response = redirect(where, status, external=where.startswith("http"))
    response.set_cookie("gone", "1")
    return response


@action
async def answer():
    return Response.text("its own", 201)


@action
async def fail(how: str, title: str = "", api_token: str = ""):
    if how == "field":
        raise ActionError("Taken.", "title", code="taken", status=409)
    if how == "form":
        raise ActionError("Not today.")
    if how == "http":
        raise Conflict("Somebody was faster.")
    if how == "cause":
        raise Conflict("Somebody was faster.") from ValueError("the marker of a cause")
    if how == "db":
        from turnout import db
        await db.from_("posts").insert({"id": 1})
        await db.from_("posts").insert({"id": 1})
    raise RuntimeError("the marker of an unexpected error")


@action
async def everything():
    cookies().set("seen", "yes")
    revalidate_path("/posts")
    revalidate_tag("posts")
    after(SEEN.append, "after")
    flash(current_request(), "Done")
    return redirect("/posts/1")


def helper():
    return "no action"
"""

FILES = {
    "app/posts/actions.py": ACTIONS,
    "app/posts/route.py": 'from turnout import render\n\n\nasync def GET():\n    return render("posts.html")\n',
    "app/plain/route.py": "from turnout import Response\n\n\nasync def GET():\n    return Response.html('<main>x')\n",
    "templates/posts.html": (
        "{% for flash in flashes %}[{{ flash }}]{% endfor %}"
        "{{ request.path }}|{{ errors.title }}|{{ errors.form }}|{{ errors|list|join(',') }}|"
        "{{ values.title }}|{{ values.api_token }}|{{ values.get('title', 'default') }}|"
        '{{ actions.form.url }}|{{ "again" if errors else "first" }}'
    ),
    "migrations/0001_posts.sql": "create table posts (id integer primary key);\n",
}


def urls() -> dict[str, str]:
    """The addresses of the project that was loaded last, by name."""
    return {name: action.url for group in registry.known().actions.values() for name, action in group.items()}


async def call(client: Client, name: str, *, headers: dict[str, str] | None = None, **options: Any) -> Answer:
    return await client.post(urls()[name], headers=headers, **options)


# -- arguments


async def test_a_form_is_given_as_it_is(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "form", body="b=2&a=1&a=%C3%A1+b", headers={"content-type": URLENCODED})

        assert answer.json() == {"ok": True, "data": [["b", "2"], ["a", "1"], ["a", "á b"]]}
        answer = await call(client, "form", json={"a": ["x", 2], "b": True, "c": None, "d": 1.5})
        assert answer.json()["data"] == [["a", "x"], ["a", "2"], ["b", "true"], ["d", "1.5"]]
        answer = await call(client, "form", json={"a": {"b": 1}, "c": [[1]]})
        assert (answer.status, [each["pointer"] for each in answer.json()["errors"]]) == (422, ["/a", "/c"])


URLENCODED = "application/x-www-form-urlencoded"


async def test_fields_are_converted_and_checked_by_their_annotations(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        sent = "title=abc&pages=3&on=on&kind=tale&day=2026-01-31&tags=a&tags=b&note=&size=2.5&other=x"
        answer = await call(client, "fields", body=sent, headers={"content-type": URLENCODED})
        assert answer.json()["data"] == ["abc", 3, True, "tale", "2026-01-31", ["a", "b"], None, 2.5]
        answer = await call(client, "fields", form={"title": "abc", "pages": "3", "day": "", "size": ""})
        assert answer.json()["data"] == ["abc", 3, False, "note", None, [], None, 1.0]
        answer = await call(client, "fields", json={"title": "abc", "pages": 3, "on": False, "tags": ["a"], "note": ""})
        assert answer.json()["data"] == ["abc", 3, False, "note", None, ["a"], "", 1.0]


async def test_every_failure_is_said_for_people_and_for_programs(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        sent = {"title": "ab", "pages": "", "kind": "x", "day": "soon", "size": "10"}
        answer = await call(client, "fields", form=sent)

        told = answer.json()
        assert (answer.status, told["ok"], told["code"]) == (422, False, "validation_failed")
        assert told["error"] == "Please check what is marked."
        assert told["field_errors"] == {
            "title": "Enter at least 3 characters.",
            "pages": "This is required.",
            "kind": "Choose one of the offered values.",
            "day": "Enter a date, such as 2026-01-31.",
            "size": "Enter at most 9.0.",
        }
        assert {each["pointer"] for each in told["errors"]} == {"/title", "/pages", "/kind", "/day", "/size"}
        answer = await call(client, "fields", json={"title": "abcdef", "pages": "3"})
        assert answer.json()["field_errors"] == {
            "title": "Enter at most 5 characters.",
            "pages": "Enter a whole number.",
            "on": "This is required.",
        }


async def test_a_body_is_the_whole_form(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        assert (await call(client, "body", form={"title": "abc", "stars": "4"})).json()["data"] == ["abc", 4, "POST"]
        assert (await call(client, "body", json={"title": "abc"})).json()["data"] == ["abc", 0, "POST"]
        assert (await call(client, "body", form={"title": "a"})).json()["field_errors"].keys() == {"title"}


def multipart(*parts: tuple[str, str | None, str]) -> dict[str, Any]:
    lines = ""
    for name, filename, content in parts:
        where = "" if filename is None else f'; filename="{filename}"'
        lines += f'--cut\r\nContent-Disposition: form-data; name="{name}"{where}\r\n\r\n{content}\r\n'
    return {"body": f"{lines}--cut--\r\n", "headers": {"content-type": "multipart/form-data; boundary=cut"}}


async def test_files_are_uploads_and_a_file_that_was_not_chosen_is_none(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        sent = multipart(("photo", "a.txt", "hello"), ("more", "b", "1"), ("more", "c", "2"), ("other", "", ""))
        assert (await call(client, "photo", **sent)).json()["data"] == ["a.txt", "hello", 2, True]
        sent = multipart(("photo", "", ""), ("more", "", ""))
        assert (await call(client, "photo", **sent)).json()["field_errors"] == {"photo": "This is required."}
        assert (await call(client, "photo", json={"photo": "a.txt"})).json()["field_errors"].keys() == {"photo"}
        sent = multipart(("photo", None, "a text where a file belongs"))
        assert (await call(client, "photo", **sent)).status == 422


async def test_a_def_runs_in_a_thread_and_may_take_arguments_by_place(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        assert (await call(client, "in_a_thread", json={"word": "a", "loud": True})).json()["data"] == "A"
        assert (await call(client, "in_a_thread", form={"word": "a"})).json()["data"] == "a"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/x-python-pickle", "text/json"])
async def test_only_forms_and_json_are_decoded(tmp_path: Path, kind: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "form", body='{"a":1}', headers={"content-type": kind})

        assert (answer.status, answer.json()["ok"]) == (415, False)
        assert (await call(client, "form", json=["a"])).status == 400
        assert (await call(client, "nothing")).json() == {"ok": True, "data": None}


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def test_whatever_is_sent_the_answer_is_a_good_one_or_a_refusal(tmp_path: Path) -> None:
    client = client_of(tmp_path, FILES)
    names = ("form", "fields", "body", "photo", "in_a_thread")
    with asyncio.Runner() as runner:
        runner.run(client.__aenter__())

        @settings(max_examples=150, deadline=None)
        @given(
            st.sampled_from(names),
            st.sampled_from(
                ["application/json", URLENCODED, "multipart/form-data; boundary=cut", "", "text/plain", "\xff"]
            ),
            st.one_of(
                st.binary(max_size=60),
                JSONISH.map(lambda value: json.dumps(value).encode()),
                st.dictionaries(st.sampled_from(["title", "pages", "on", "word", "photo"]), JSONISH).map(
                    lambda value: json.dumps(value).encode()
                ),
                st.binary(max_size=40).map(
                    lambda data: (
                        b'--cut\r\nContent-Disposition: form-data; name="title"\r\n\r\n' + data + b"\r\n--cut--"
                    )
                ),
            ),
        )
        def send(name: str, kind: str, data: bytes) -> None:
            answer = runner.run(call(client, name, body=data, headers={"content-type": kind}))
            assert answer.status in (200, 400, 413, 415, 422), answer
            assert isinstance(answer.json()["ok"], bool)

        send()
        runner.run(client.__aexit__(None, None, None))


# -- results


async def test_data_goes_to_a_script_and_a_form_goes_back(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        assert (await call(client, "nothing", form={})).json() == {"ok": True, "data": None}
        back = await call(client, "nothing", form={"a": "1"}, headers=FROM)
        assert (back.status, back.headers["location"]) == (303, "/posts?tab=1")
        own = await call(client, "answer", headers=FROM)
        assert (own.status, own.text) == (201, "its own")
        assert (await call(client, "answer")).text == "its own"


@pytest.mark.parametrize(
    ("referer", "place"),
    [
        ("http://localhost/a/b?c=d#e", "/a/b?c=d"),
        ("http://localhost", "/"),
        ("http://localhost/", "/"),
        ("http://evil.example/a", "/"),
        ("https://localhost.evil.example/a", "/"),
        ("http://localhost@evil.example/a", "/"),
        ("http://localhost//evil.example", "/"),
        ("http://localhost/\\evil.example", "/"),
        ("http://localhost/_actions/00000000000000000000000000000000", "/"),
        ("javascript://localhost/%0aalert(1)", "/"),
        ("nonsense", "/"),
        ("", "/"),
    ],
)
async def test_a_form_goes_back_to_a_page_of_this_site_alone(tmp_path: Path, referer: str, place: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "nothing", form={"a": "1"}, headers={**PAGE, "referer": referer})

        assert (answer.status, answer.headers["location"]) == (303, place)
        page = {**PAGE, "referer": "http://localhost/_actions/x"}
        for said in ("//evil.example", "https://evil.example", "/_actions/x", "x"):
            answer = await client.post(f"{urls()['nothing']}?page={said}", headers=page)
            assert answer.headers["location"] == "/"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_by_get_whatever_its_status(tmp_path: Path, status: int) -> None:
    async with client_of(tmp_path, FILES) as client:
        form = {"where": "/posts?a=1", "status": str(status)}
        answer = await call(client, "go", form=form, headers=FROM)
        assert (answer.status, answer.headers["location"]) == (303, "/posts?a=1")
        assert "gone=1" in answer.headers["set-cookie"]
        script = {"sec-fetch-site": "same-origin"}
        answer = await call(client, "go", form=form, headers=script)
        assert (answer.status, answer.json()) == (200, {"ok": True, "redirect": "/posts?a=1"})
        assert "gone=1" in answer.headers["set-cookie"] and not answer.headers.has("location")
        answer = await call(client, "go", form={"where": "https://pay.example/x"}, headers=script)
        assert answer.json()["redirect"] == "https://pay.example/x"


@pytest.mark.parametrize(
    ("accept", "kind", "is_json"),
    [
        (None, URLENCODED, True),
        ("*/*", URLENCODED, True),
        ("application/json", URLENCODED, True),
        ("text/html", URLENCODED, False),
        (PAGE["accept"], URLENCODED, False),
        (PAGE["accept"], "application/json", True),
        ("application/json, text/html;q=0.5", URLENCODED, True),
        ("image/png", URLENCODED, True),
        ("application/xhtml+xml, text/html", URLENCODED, False),
    ],
)
async def test_a_script_is_told_by_what_it_sends_and_understands(
    tmp_path: Path, accept: str | None, kind: str, is_json: bool
) -> None:
    async with client_of(tmp_path, FILES) as client:
        headers = {"content-type": kind, "x-requested-with": "XMLHttpRequest", "sec-fetch-mode": "cors"}
        answer = await call(
            client,
            "nothing",
            body="{}" if "json" in kind else "",
            headers=headers | ({"accept": accept} if accept else {}),
        )

        assert answer.status == (200 if is_json else 303)


async def test_what_an_action_says_reaches_a_script(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "fail", form={"how": "field"})
        told = answer.json()
        assert (answer.status, told["ok"], told["error"], told["code"]) == (409, False, "Taken.", "taken")
        assert told["field_errors"] == {"title": "Taken."}
        answer = await call(client, "fail", form={"how": "form"})
        told = answer.json()
        assert (answer.status, told["error"], told["field_errors"]) == (422, "Not today.", {})
        answer = await call(client, "fail", form={"how": "http"})
        assert (answer.status, answer.json()["error"]) == (409, "Somebody was faster.")
        assert "field_errors" not in answer.json()


async def test_anything_else_is_500_with_the_request_id_and_nothing_more(tmp_path: Path, caplog: Any) -> None:
    async with client_of(tmp_path, FILES) as client:
        for headers in ({}, FROM):
            caplog.clear()
            answer = await call(client, "fail", form={"how": "x"}, headers=headers)

            assert answer.status == 500
            assert "marker" not in answer.text
            assert caplog.records[0].request_id == answer.json()["instance"]
        told = (await call(client, "fail", form={"how": "x"})).json()
        assert (told["ok"], told["error"]) == (False, "Internal Server Error")


async def test_a_form_that_failed_gets_its_page_again(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        form = {"how": "field", "title": '"><b>', "api_token": "sk-secret", "password": "x"}
        answer = await call(client, "fail", form=form, headers=FROM)

        shown = html.unescape(answer.text).split("|")
        assert answer.status == 409
        assert shown[:4] == ["/posts", "Taken.", "", "title"]
        assert shown[4:7] == ['"><b>', "", '"><b>'] and "<b>" not in answer.text
        assert shown[7] == f"{urls()['form']}?page=%2Fposts%3Ftab%3D1"
        assert shown[8] == "again"
        assert answer.headers["cache-control"] == "no-store"
        again = await client.post(shown[7], form={"a": "1"}, headers={**PAGE, "referer": "http://localhost/_actions/x"})
        assert (again.status, again.headers["location"]) == (303, "/posts?tab=1")
        first = (await client.get("/posts")).text.split("|")
        assert first[1:7] == ["", "", "", "", "", "default"] and first[8] == "first"


@pytest.mark.parametrize(
    ("how", "status", "said"),
    [
        ("form", 422, "Not today."),
        ("http", 409, "Somebody was faster."),
        ("db", 409, "That conflicts with what is stored"),
    ],
)
async def test_what_is_about_no_field_is_in_errors_form(tmp_path: Path, how: str, status: int, said: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        await db.sql("create table if not exists posts (id integer primary key)")
        answer = await call(client, "fail", form={"how": how}, headers=FROM)

        assert (answer.status, answer.text.split("|")[1:3]) == (status, ["", said])


async def test_a_cause_is_logged_when_the_page_is_shown_again(tmp_path: Path, caplog: Any) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "fail", form={"how": "cause"}, headers=FROM)

        assert (answer.status, "marker" in answer.text, "marker" in caplog.text) == (409, False, True)


MISNAMED = """
from typing import Annotated

from msgspec import Meta

from turnout import ActionError, action, after, current_request, flash


@action
async def misnamed(pages: Annotated[int, Meta(ge=1)], title: str = ""):
    flash(current_request(), "Nothing was kept.")
    raise ActionError("There is one of that name.", field="titel")
"""
PAGE_OF_MISNAMED = {
    "app/a/actions.py": MISNAMED,
    "app/a/route.py": """
from turnout import after, render

RAN = []


async def GET():
    after(RAN.append, 1)
    return render("a.html", ran=len(RAN))
""",
}


@pytest.mark.parametrize(
    ("form", "shown"),
    [
        ({"title": "First", "pages": "1"}, "There is one of that name.||First|Nothing was kept."),
        # A parameter that the form has no field for, beside one that it has.
        ({"title": "First", "pages": "0"}, "pages: Enter at least 1.||First|"),
    ],
)
async def test_an_error_of_a_field_that_the_page_does_not_have_is_said_for_the_form(
    tmp_path: Path, form: dict[str, str], shown: str, caplog: Any
) -> None:
    template = "{{ errors.form }}|{{ errors.title }}|{{ values.title }}|{{ flashes|join }}"
    async with client_of(tmp_path, PAGE_OF_MISNAMED | {"templates/a.html": template}) as client:
        answer = await call(client, "misnamed", form=form, headers={**PAGE, "referer": "http://localhost/a"})

        assert (answer.status, answer.text) == (422, shown)
        assert "shows no error of" in caplog.text
        assert ("did you mean title" in caplog.text) == (form["pages"] == "1")
        assert (await client.get("/a")).text == "|||"


@pytest.mark.parametrize("template", ["{{ errors.title }}", "{% if errors %}wrong{% endif %}", "{{ values.title }}"])
async def test_a_page_that_has_no_place_for_what_is_wrong_gives_way_to_a_plain_one(
    tmp_path: Path, template: str
) -> None:
    async with client_of(tmp_path, PAGE_OF_MISNAMED | {"templates/a.html": template}) as client:
        form, headers = {"title": "First", "pages": "1"}, {**PAGE, "referer": "http://localhost/a"}
        answer = await call(client, "misnamed", form=form, headers=headers)

        assert answer.status == 422 and "There is one of that name." in answer.text and 'href="/a"' in answer.text


@pytest.mark.parametrize("referer", ["", "http://localhost/plain", "http://localhost/nowhere", "http://evil.example/"])
async def test_where_no_page_can_say_it_a_plain_one_does(tmp_path: Path, referer: str) -> None:
    async with client_of(tmp_path, FILES) as client:
        headers = {**PAGE, "referer": referer}
        answer = await call(client, "fields", form={"title": "<i>", "pages": "x", "kind": "<i>"}, headers=headers)

        assert (answer.status, answer.headers["content-type"]) == (422, "text/html; charset=utf-8")
        assert "pages: Enter a whole number." in answer.text and "<i>" not in answer.text
        assert ('<a href="/plain">' in answer.text) == referer.endswith("plain")


async def test_everything_of_a_route_works_inside(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await call(client, "everything", form={}, headers={**FROM, "content-type": URLENCODED})
        assert (answer.status, answer.headers["location"], client.cookies["seen"]) == (303, "/posts/1", "yes")
        assert (await client.get("/posts")).text.startswith("[Done]")


async def test_a_failed_form_shows_its_flash_once(tmp_path: Path) -> None:
    files = {
        **FILES,
        "app/posts/actions.py": (
            "from turnout import ActionError, action, cookies, current_request, flash\n\n\n"
            "@action\nasync def form():\n    flash(current_request(), 'Half done')\n    cookies().set('half', '1')\n"
            "    raise ActionError('The rest failed.')\n"
        ),
    }
    async with client_of(tmp_path, files) as client:
        answer = await call(client, "form", form={"a": "1"}, headers=FROM)
        assert answer.text.startswith("[Half done]/posts||The rest failed.|")
        assert (client.cookies, answer.headers.get_set_cookie()[0][:7]) == ({"half": "1"}, "half=1;")
        assert not (await client.get("/posts")).text.startswith("[")


async def test_an_unknown_address_is_404(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        for place in ("0" * 32, "x", urls()["form"][10:].upper(), "%00"):
            answer = await client.post(f"/_actions/{place}", form={})
            assert answer.status == (400 if place == "%00" else 404)
            if answer.status == 404:
                assert (answer.json()["code"], answer.json()["ok"]) == ("action_not_found", False)
        shown = await client.post("/_actions/x", form={"a": "1"}, headers=PAGE)
        assert (shown.status, shown.headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert (await client.get(urls()["form"])).status == 405
        assert (await client.post("/_actions/helper", form={})).status == 404


async def test_calls_run_in_parallel(tmp_path: Path) -> None:
    files = {
        "app/actions.py": (
            "import asyncio\nfrom turnout import action\nmeeting = asyncio.Barrier(5)\n\n\n"
            "@action\nasync def meet():\n    return await meeting.wait()\n"
        )
    }
    async with client_of(tmp_path, files) as client:
        answers = await asyncio.gather(*(call(client, "meet") for _ in range(5)))

        assert sorted(answer.json()["data"] for answer in answers) == [0, 1, 2, 3, 4]


# -- the file


GUARDED = """
from turnout import FormData, action

{constants}

@action
async def form(form_data: FormData):
    return len(form_data)
"""


async def test_middleware_of_the_folder_and_above_applies(tmp_path: Path) -> None:
    middleware = (
        "async def middleware(request, next):\n"
        "    request.state.seen = getattr(request.state, 'seen', '') + '{}'\n"
        "    return await next(request)\n"
    )
    files = {
        "app/middleware.py": middleware.format("a"),
        "app/in/middleware.py": middleware.format("b"),
        "app/in/actions.py": (
            "from turnout import Request, action\n\n\n@action\nasync def form(request: Request):\n"
            "    return request.state.seen\n"
        ),
    }
    async with client_of(tmp_path, files) as client:
        assert (await call(client, "form")).json()["data"] == "ab"


async def test_error_files_answer_forms_and_not_scripts(tmp_path: Path) -> None:
    files = {
        **FILES,
        "app/error.py": (
            "from turnout import Response\n\n\nasync def error(exc, request):\n    return Response.html('ours', 500)\n"
        ),
    }
    async with client_of(tmp_path, files) as client:
        assert (await call(client, "fail", form={"how": "x"}, headers=FROM)).text == "ours"
        assert (await call(client, "fail", form={"how": "x"})).json()["ok"] is False
        assert (await call(client, "fail", form={"how": "form"}, headers=FROM)).text.split("|")[2] == "Not today."


async def test_limits_of_the_file_hold(tmp_path: Path) -> None:
    files = {"app/actions.py": GUARDED.format(constants='body_limit = "1 KB"\nrate_limit = "2/min"')}
    async with client_of(tmp_path, files) as client:
        answer = await call(client, "form", form={"a": "x" * 2000})
        assert (answer.status, answer.json()["code"]) == (413, "body_too_large")
        assert (await call(client, "form", form={"a": "x"})).status == 200
        answer = await call(client, "form", form={"a": "x"})
        assert (answer.status, answer.json()["ok"]) == (429, False)
        assert int(answer.headers["retry-after"]) > 0


async def test_max_duration_ends_an_action(tmp_path: Path) -> None:
    files = {
        "app/actions.py": (
            "import asyncio\nfrom turnout import action\nmax_duration = 0.05\n\n\n"
            "@action\nasync def hang():\n    await asyncio.Event().wait()\n"
        )
    }
    async with client_of(tmp_path, files) as client:
        assert (await call(client, "hang")).status == 503


async def test_a_body_that_never_ends_is_not_waited_for_by_a_guard(tmp_path: Path) -> None:
    files = {"app/actions.py": GUARDED.format(constants='auth = "secret"'), ".env.test": f"API_SECRET={'s' * 40}\n"}

    async def endless() -> Any:
        raise AssertionError("somebody read the body")
        yield b""

    async with client_of(tmp_path, files) as client:
        refused = await client.request("POST", urls()["form"], body=endless(), headers={"content-type": URLENCODED})
        assert (refused.status, refused.json()["ok"]) == (401, False)
        good = {"authorization": f"Bearer {'s' * 40}"}
        assert (await call(client, "form", form={"a": "1"}, headers=good)).json()["data"] == 1


async def test_nobody_is_led_to_sign_in_and_back(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[tool.turnout]\nallowed_hosts = ["localhost"]\n[tool.turnout.auth]\npages = true\n',
        "app/actions.py": GUARDED.format(constants='auth = "user"'),
        "app/route.py": "async def GET():\n    return {}\n",
    }
    async with client_of(tmp_path, files) as client:
        answer = await call(client, "form", form={"a": "1"}, headers=FROM)
        place = "/auth/sign-in?next=%2Fposts%3Ftab%3D1"
        assert (answer.status, answer.headers["location"]) == (303, place)
        answer = await call(client, "form", json={}, headers={"referer": FROM["referer"]})
        assert (answer.status, answer.json()["redirect"]) == (401, place)


BROKEN = {
    "a route of actions": ({"app/%5Factions/x/route.py": "async def GET():\n    return 1\n"}, "answered by Turnout"),
    "an action elsewhere": ({"app/x/route.py": GUARDED.format(constants="") + "GET = form\n"}, "written in route.py"),
    "a parameter nothing fills": (
        {"app/x/actions.py": "from turnout import action\n@action\nasync def f(*args): ...\n"},
        "takes \\*args",
    ),
    "an annotation nothing resolves": (
        {"app/x/actions.py": "from turnout import action\n@action\nasync def f(a: 'Nope'): ...\n"},
        "cannot be resolved",
    ),
    "a type nothing reads": (
        {"app/x/actions.py": "from turnout import action\nimport io\n@action\nasync def f(a: io.StringIO): ...\n"},
        "no form and no JSON holds",
    ),
    "a constant of another kind": ({"app/x/actions.py": "revalidate = 60\n"}, "never kept"),
    "a constant with a mistake": ({"app/x/actions.py": "rate_limit = 'often'\n"}, "rate_limit must be"),
    "a class": ({"app/x/actions.py": "from turnout import action\n@action\nclass A: ...\n"}, "for functions"),
    "body and fields": (
        {"app/x/actions.py": "from turnout import action\n@action\nasync def f(body: dict[str, str], a: str): ...\n"},
        "body and single fields",
    ),
    "one name twice": (
        {"app/x/actions.py": "from turnout import action\n@action\ndef f(): ...\ng = f\n@action\ndef f(): ...\n"},
        "two actions are called f",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_mistake_stops_the_start_and_names_the_file(tmp_path: Path, case: str) -> None:
    files, message = BROKEN[case]
    with pytest.raises(ConfigError, match=message) as caught:
        client_of(tmp_path, {"app/actions.py": GUARDED.format(constants=""), **files})
    assert caught.value.file is not None and caught.value.cure


async def test_a_page_means_the_nearest_action_of_a_name(tmp_path: Path, caplog: Any) -> None:
    page = "from turnout import render\nasync def GET():\n    return render('p.html')\n"
    one = "from turnout import action\n@action\nasync def {}(): ...\n"
    files = {
        "templates/p.html": "{{ actions.save.url }} {{ actions.only.url }} {{ actions|join(',') }}",
        "app/actions.py": one.format("save"),
        "app/a/actions.py": one.format("save"),
        "app/a/b/route.py": page,
        "app/c/route.py": page,
        "app/far/actions.py": one.format("only"),
        "app/d/route.py": "from turnout import render\nasync def GET():\n    return render('q.html')\n",
        "templates/q.html": "{% if actions.gone is defined %}?{% endif %}\n{{ actions.onyl.url }}",
    }
    async with client_of(tmp_path, files) as client:
        groups = registry.known().actions
        near, root, only = (
            groups[tmp_path / place / "actions.py"][name].url
            for place, name in (("app/a", "save"), ("app", "save"), ("app/far", "only"))
        )
        assert (await client.get("/a/b")).text == f"{near} {only} only,save"
        assert (await client.get("/c")).text == f"{root} {only} only,save"
        assert (await client.get("/d")).status == 500
        assert "q.html:2: no actions.py has an action 'onyl'; did you mean only?" in caplog.text
        assert "give it to render()" not in caplog.text


async def test_of_several_far_actions_none_is_meant(tmp_path: Path, caplog: Any) -> None:
    one = "from turnout import action\n@action\nasync def save(): ...\n"
    files = {
        "templates/p.html": "{{ actions.save.url }}",
        "app/a/actions.py": one,
        "app/b/actions.py": one,
        "app/c/route.py": "from turnout import render\nasync def GET():\n    return render('p.html')\n",
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/c")).status == 500
        assert "a/actions.py, b/actions.py" in caplog.text


async def test_an_action_in_a_private_folder_has_no_address(tmp_path: Path, caplog: Any) -> None:
    files = {
        "app/_hidden/actions.py": "from turnout import action\n@action\nasync def save(): ...\n",
        "app/route.py": "from ._hidden.actions import save\nasync def GET():\n    return save.url\n",
    }
    async with client_of(tmp_path, files) as client:
        assert (await client.get("/")).status == 500
        assert "folder that is not read" in caplog.text


async def test_in_python_an_action_is_its_function(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES):
        group = registry.known().actions[tmp_path / "app/posts/actions.py"]

        assert await group["answer"]() is not None
        assert group["in_a_thread"]("a", loud=True) == "A"
        assert group["in_a_thread"].bind(loud=True)("a") == "A"
        assert re.fullmatch(r"/_actions/[0-9a-f]{32}", group["answer"].url)


async def test_the_script_is_served_to_be_asked_for_again(tmp_path: Path) -> None:
    async with client_of(tmp_path, FILES) as client:
        answer = await client.get("/_turnout/turnout.js")

        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=0, must-revalidate"
        again = await client.get("/_turnout/turnout.js", headers={"if-none-match": answer.headers["etag"]})
        assert again.status == 304
        assert not re.search(rb"\beval\(|innerHTML|new Function|\.style\.cssText|setAttribute\(.style", answer.body)


async def test_the_post_of_the_specification_is_on_a_kept_page_at_once(tmp_path: Path) -> None:
    files = {
        "migrations/0001_posts.sql": "create table posts (id integer primary key, title text, content text);\n",
        "app/actions.py": """
from turnout import FormData, action, db, revalidate_path


@action
async def create_post(form_data: FormData):
    title = form_data.get("title")
    content = form_data.get("content")
    await db.from_("posts").insert({"title": title, "content": content})
    revalidate_path("/posts")
""",
        "app/posts/route.py": """
from turnout import db, render

revalidate = 60
RUNS = []


async def GET():
    RUNS.append(1)
    return render("posts.html", posts=await db.from_("posts").select("*"))
""",
        "templates/posts.html": (
            "{% for post in posts %}{{ post.title }}: {{ post.content }};{% endfor %}{{ errors.form }}"
        ),
    }
    async with client_of(tmp_path, files) as client:
        await db.sql("create table posts (id integer primary key, title text not null, content text)")
        for _ in range(3):
            assert (await client.get("/posts")).text == ""
        assert "hit" in (await client.get("/posts")).headers["cache-status"]
        answer = await call(client, "create_post", form={"title": "First", "content": "<b>"}, headers=FROM)
        assert (answer.status, answer.headers["location"]) == (303, "/posts?tab=1")
        assert (await client.get("/posts")).text == "First: &lt;b&gt;;"
        wrong = await call(client, "create_post", form={"content": "no title"}, headers=FROM)
        assert wrong.text == "First: &lt;b&gt;;The data was refused by the database"
        assert (await client.get("/posts")).text == "First: &lt;b&gt;;"
