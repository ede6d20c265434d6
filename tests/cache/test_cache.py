"""Kept answers: who gets one, who never does, and when they end."""

from __future__ import annotations

import asyncio
import gc
import gzip
import sys
import tracemalloc
from itertools import product
from pathlib import Path
from typing import Any

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of

from turnout import CacheRule, ConfigError, Request, Response
from turnout.cache.kept import Answers
from turnout.cache.rule import key_of

COUNTING = """
    from turnout import CacheRule, Response, cookies, current_request, headers, revalidate_path, revalidate_tag, auth
    runs = []
    {constant}

    async def GET(request{slug}):
        runs.append(request.target)
        {body}
"""
POSTS = """
    from turnout import revalidate_path, revalidate_tag

    async def POST(request):
        kind, name = (await request.json())
        if kind == "tag":
            await revalidate_tag(name)
        else:
            revalidate_path(name, type=kind)

    def PUT(request):  # in a thread
        revalidate_path("/a")
"""


def route(body: str = "return len(runs)", constant: str = "revalidate = 60", slug: str = "") -> str:
    return COUNTING.format(body=body, constant=constant, slug=slug)


async def test_an_answer_is_kept_and_can_be_asked_about(tmp_path: Path) -> None:
    async with client_of(tmp_path, {"app/a/route.py": route()}) as client:
        first, second = await client.get("/a"), await client.get("/a")
        assert (first.json(), second.json()) == (1, 1)
        assert first.headers.get("cache-status") == "turnout; fwd=miss; stored"
        assert second.headers.get("cache-status") == "turnout; hit"
        assert second.headers.get("cache-control") == "public, max-age=0, must-revalidate"
        assert second.headers.get("content-type") == "application/json"

        again = await client.get("/a", headers={"if-none-match": second.headers.get("etag") or ""})
        assert (again.status, again.body) == (304, b"")
        assert (await client.get("/a", headers={"if-none-match": '"other"'})).json() == 1
        head = await client.head("/a")
        assert head.headers.get("etag") == second.headers.get("etag")


async def test_nothing_is_kept_that_no_rule_names(tmp_path: Path) -> None:
    for constant in ("", "revalidate = False", "revalidate = 0"):
        async with client_of(tmp_path, {"app/a/route.py": route(constant=constant)}) as client:
            assert [(await client.get("/a")).json() for _ in range(2)] == [1, 2], constant


@pytest.mark.parametrize(
    "body",
    [
        'return Response.json(len(runs), headers={"set-cookie": "a=1"})',
        'r = Response.json(len(runs)); r.set_cookie("a", "1"); return r',
        'cookies().set("a", "1"); return len(runs)',
        'return Response.json(len(runs), headers={"cache-control": "private"})',
        'return Response.json(len(runs), headers={"cache-control": "max-age=5, No-Store"})',
        'return Response.json(len(runs), headers={"vary": "*"})',
        'return Response.json(len(runs), headers={"vary": "Accept-Language"})',
        'return Response.json(len(runs), headers={"vary": "Accept-Encoding, x-one", "content-encoding": "x"})',
        "return Response.json(len(runs), status=404)",
        "return Response.json(len(runs), status=201)",
        "return Response.stream(iter([str(len(runs))]))",
        'request.cookies.get("theme"); return len(runs)',
        'cookies().get("theme"); return len(runs)',
        "await auth.get_user(); return len(runs)",
    ],
)
async def test_what_may_be_somebodys_own_is_never_kept(tmp_path: Path, body: str) -> None:
    async with client_of(tmp_path, {"app/a/route.py": route(body)}) as client:
        assert [(await client.get("/a")).text for _ in range(3)] == ["1", "2", "3"]


@pytest.mark.parametrize(
    "fields",
    [
        {"authorization": "Bearer x"},
        {"apikey": "x"},
        {"x-api-key": "x"},
        {"cookie": "sb-localhost-auth-token=x"},
        {"cookie": "theme=dark; sb-abc-auth-token.0=x"},
        {"cookie": "__Host-sb-abc-auth-token=x"},
    ],
)
async def test_who_is_signed_in_gets_an_answer_of_their_own(tmp_path: Path, fields: dict[str, str]) -> None:
    async with client_of(tmp_path, {"app/a/route.py": route()}) as client:
        assert (await client.get("/a")).json() == 1
        assert (await client.get("/a", headers=fields)).json() == 2
        assert (await client.get("/a")).json() == 1
    async with client_of(tmp_path, {"app/a/route.py": route()}) as client:
        assert (await client.get("/a", headers=fields)).json() == 1
        assert (await client.get("/a")).json() == 2  # theirs was not kept


async def test_what_is_said_to_head_is_no_answer_to_get(tmp_path: Path) -> None:
    body = 'return Response() if request.method == "HEAD" else len(runs)'
    async with client_of(tmp_path, {"app/a/route.py": route(body)}) as client:
        await client.head("/a")
        assert (await client.get("/a")).json() == 2
        assert (await client.head("/a")).headers.get("cache-status") == "turnout; hit"


async def test_what_makes_another_answer_is_part_of_the_key(tmp_path: Path) -> None:
    constant = 'cache = CacheRule(60, vary=("accept-language",))'
    made = {"app/a/[id]/route.py": route("return [id, len(runs)]", constant, ", id")}
    async with client_of(tmp_path, made) as client:
        de = {"accept-language": "de"}
        answers = [
            await client.get("/a/1"),
            await client.get("/a/2"),
            await client.get("/a/1?x=1&y=2"),
            await client.get("/a/1?y=2&x=1"),  # the same
            await client.get("/a/1?x=1;y=2"),
            await client.get("/a/1", headers=de),
            await client.get("/a/1", headers={"host": "127.0.0.1"}),
            await client.get("/a/1"),  # the first again
        ]
        assert [answer.json()[1] for answer in answers] == [1, 2, 3, 3, 4, 5, 6, 1]
        assert answers[0].headers.get("vary") == "accept-language"


async def test_a_handler_may_say_itself_what_the_rule_says_that_it_varies_by(tmp_path: Path) -> None:
    constant = 'cache = CacheRule(60, vary=("accept-language", "X-One"))'
    body = 'return Response.json(len(runs), headers={"vary": "Accept-Language,"})'
    async with client_of(tmp_path, {"app/a/route.py": route(body, constant)}) as client:
        de = {"accept-language": "de"}
        assert [(await client.get("/a", headers=fields)).json() for fields in (None, de, None, de)] == [1, 2, 1, 2]


texts = st.text(alphabet="ab&=%/;+", max_size=6)


@given(texts, texts, texts, texts)
@settings(deadline=None, max_examples=300)
def test_two_queries_have_one_key_only_if_they_are_the_same_pairs(a: str, b: str, c: str, d: str) -> None:
    one, other = (Request("GET", f"/x?{left}&{right}", headers={"host": "h"}) for left, right in ((a, b), (c, d)))
    same = sorted(one.search_params) == sorted(other.search_params)
    assert (key_of(CacheRule(), one) == key_of(CacheRule(), other)) == same


@pytest.mark.parametrize(
    ("what", "ended"),
    [
        (["page", "/a/1"], {"/a/1", "/a/1?x=1"}),
        (["page", "/a/2"], {"/a/2"}),
        (["route", "/a/[id]"], {"/a/1", "/a/1?x=1", "/a/2"}),
        (["tag", "posts"], {"/a/1", "/a/1?x=1", "/a/2", "/b"}),
        (["tag", "other"], set()),
        (["page", "/a"], set()),
    ],
)
async def test_a_revalidation_ends_what_it_names_and_nothing_else(
    tmp_path: Path, what: list[str], ended: set[str]
) -> None:
    rule = 'cache = CacheRule(60, tags=("posts",))'
    made = {
        "app/a/[id]/route.py": route("return len(runs)", rule, ", id"),
        "app/b/route.py": route("return len(runs)", rule),
        "app/c/route.py": route(),
        "app/change/route.py": POSTS,
    }
    async with client_of(tmp_path, made) as client:
        paths = ["/a/1", "/a/1?x=1", "/a/2", "/b", "/c"]
        for path in paths:
            await client.get(path)
        await client.post("/change", json=what)
        now = {path: (await client.get(path)).headers.get("cache-status") for path in paths}
        assert {path for path, status in now.items() if status != "turnout; hit"} == ended


async def test_a_handler_in_a_thread_can_revalidate(tmp_path: Path) -> None:
    async with client_of(tmp_path, {"app/a/route.py": route(), "app/change/route.py": POSTS}) as client:
        await client.get("/a")
        assert (await client.put("/change")).ok
        await asyncio.sleep(0)
        assert (await client.get("/a")).json() == 2


async def test_middleware_judges_a_request_before_a_kept_answer_is_given(tmp_path: Path) -> None:
    middleware = """
        from turnout import Forbidden
        async def middleware(request, next):
            if request.headers.get("x-key") != "right":
                raise Forbidden()
            return await next(request)
    """
    async with client_of(tmp_path, {"app/a/route.py": route(), "app/middleware.py": middleware}) as client:
        assert (await client.get("/a", headers={"x-key": "right"})).json() == 1
        assert (await client.get("/a")).status == 403
        assert (await client.get("/a", headers={"x-key": "right"})).headers.get("cache-status") == "turnout; hit"


async def test_what_one_request_adds_to_its_answer_is_not_in_the_next(tmp_path: Path) -> None:
    middleware = """
        async def middleware(request, next):
            response = await next(request)
            if request.headers.get("x-who"):
                response.set_cookie("who", request.headers.get("x-who"))
                response.headers.set("x-who", "me")
            return response
    """
    async with client_of(tmp_path, {"app/a/route.py": route(), "app/middleware.py": middleware}) as client:
        for _ in range(2):
            mine = await client.get("/a", headers={"x-who": "ann"})
            assert mine.headers.get("x-who") == "me" and mine.headers.get("set-cookie")
            other = await client.get("/a")
            assert other.headers.get("x-who") is None and other.headers.get("set-cookie") is None


@pytest.mark.parametrize(
    "constant", ["cache = 60", "revalidate = 60\n    cache = CacheRule(5)", "cache = CacheRule(0)", "revalidate = -1"]
)
async def test_a_wrong_rule_stops_the_start(tmp_path: Path, constant: str) -> None:
    with pytest.raises((ConfigError, ValueError)):
        async with client_of(tmp_path, {"app/a/route.py": route(constant=constant)}):
            pass


# -- time, and many at once


class Handler:
    """Counts its runs, and waits where it is told to."""

    def __init__(self) -> None:
        self.runs = self.at_once = self.most = 0
        self.go = asyncio.Event()
        self.go.set()
        self.make: Any = Response.json

    async def __call__(self, request: Request) -> Response:
        self.runs += 1
        number = self.runs
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.go.wait()
            return self.make(number)
        finally:
            self.at_once -= 1


class Kept:
    """One cached handler, and a clock that is set by hand."""

    def __init__(self, rule: CacheRule) -> None:
        self.now_s = 1_000.0
        self.handler = Handler()
        self.answers = Answers(clock=lambda: self.now_s)
        self.endpoint = self.answers.caching(rule, "/a", self.handler)

    async def get(self) -> tuple[bytes, str | None]:
        request = Request("GET", "/a", headers={"host": "h"})
        response = await self.endpoint(request)
        for function, args, named, context in request.after_work or ():
            await asyncio.get_running_loop().create_task(function(*args, **named), context=context)
        return response.body, response.headers.get("cache-status")

    async def __aenter__(self) -> Kept:
        await self.answers.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.answers.stop()


async def test_an_answer_over_its_time_is_given_once_more_and_made_anew_afterwards() -> None:
    async with Kept(CacheRule(60)) as kept:
        assert await kept.get() == (b"1", "turnout; fwd=miss; stored")
        kept.now_s += 59
        assert await kept.get() == (b"1", "turnout; hit")
        kept.now_s += 2
        assert await kept.get() == (b"1", "turnout; hit; detail=stale")
        assert await kept.get() == (b"2", "turnout; hit")
        assert kept.handler.runs == 2


async def test_a_failed_renewal_leaves_the_old_answer() -> None:
    async with Kept(CacheRule(60)) as kept:
        await kept.get()
        kept.now_s += 61
        kept.handler.make = lambda n: 1 / 0
        with pytest.raises(ZeroDivisionError):  # in what runs after the answer, where the app logs it
            await kept.get()
        kept.handler.make = Response.json
        assert (await kept.get())[0] == b"1"
        assert (await kept.get())[0] == b"3"


async def test_a_thousand_that_wait_make_one_run() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.go.clear()
        asked = [asyncio.ensure_future(kept.get()) for _ in range(1_000)]
        await asyncio.sleep(0)
        kept.handler.go.set()
        assert {body for body, _ in await asyncio.gather(*asked)} == {b"1"}
        assert kept.handler.runs == 1


async def test_a_thousand_that_find_it_stale_make_one_run() -> None:
    async with Kept(CacheRule(60)) as kept:
        await kept.get()
        kept.now_s += 61
        kept.handler.go.clear()
        asked = [asyncio.ensure_future(kept.get()) for _ in range(1_000)]
        await asyncio.sleep(0)
        kept.handler.go.set()
        assert {body for body, _ in await asyncio.gather(*asked)} == {b"1"}
        assert kept.handler.runs == 2


async def test_a_renewal_that_never_runs_keeps_nobody_waiting() -> None:
    async with Kept(CacheRule(60)) as kept:
        await kept.get()
        kept.now_s += 61
        # Of a request whose client leaves meanwhile, what was noted for afterwards is not run.
        await kept.endpoint(Request("GET", "/a", headers={"host": "h"}))
        kept.answers.revalidate("path:/a")
        assert (await asyncio.wait_for(kept.get(), 5))[0] == b"2"


async def test_answers_that_cannot_be_shared_are_made_side_by_side() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.make = lambda n: Response.json(n, headers={"cache-control": "private"})
        kept.handler.go.clear()
        asked = [asyncio.ensure_future(kept.get()) for _ in range(20)]
        await asyncio.sleep(0)
        kept.handler.go.set()
        assert len({body for body, _ in await asyncio.gather(*asked)}) == 20
        kept.handler.go.clear()
        asked = [asyncio.ensure_future(kept.get()) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert kept.handler.at_once == 20
        kept.handler.go.set()
        await asyncio.gather(*asked)


async def test_when_whoever_fills_leaves_the_next_one_fills() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.go.clear()
        first = asyncio.ensure_future(kept.get())
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(kept.get()) for _ in range(10)]
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0.01)
        kept.handler.go.set()
        assert {body for body, _ in await asyncio.gather(*others)} == {b"2"}
        assert kept.handler.runs == 2


async def test_when_a_fill_fails_the_others_do_not_wait_for_one_another() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.go.clear()
        kept.handler.make = lambda n: 1 / 0 if n == 1 else Response.json(n)
        asked = [asyncio.ensure_future(kept.get()) for _ in range(10)]
        await asyncio.sleep(0)
        kept.handler.go.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(each, ZeroDivisionError) for each in found) == 1
        assert kept.handler.runs == 10


async def test_an_answer_that_was_begun_before_a_revalidation_is_not_kept() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.go.clear()
        asked = asyncio.ensure_future(kept.get())
        await asyncio.sleep(0)
        await kept.answers.revalidate("path:/a")
        kept.handler.go.set()
        assert (await asked)[0] == b"1"
        assert (await kept.get())[0] == b"2"
        assert (await kept.get())[0] == b"2"


async def test_an_answer_that_was_begun_before_all_were_forgotten_is_not_kept() -> None:
    async with Kept(CacheRule()) as kept:
        kept.handler.go.clear()
        asked = asyncio.ensure_future(kept.get())
        await asyncio.sleep(0)
        kept.answers.clear()  # as another version of the project does, or who has not heard revalidations for a while
        kept.handler.go.set()
        assert (await asked)[0] == b"1"
        assert (await kept.get())[0] == b"2"


async def test_the_oldest_answers_make_room() -> None:
    from turnout.cache.kept import MAX_BYTES

    async with Kept(CacheRule(60)) as kept:
        kept.handler.make = lambda n: Response.text("x" * 3_900_000)
        for n in range(40):
            await kept.endpoint(Request("GET", f"/a?n={n}", headers={"host": "h"}))
        assert kept.answers._size <= MAX_BYTES
        assert kept.handler.runs == 40
        await kept.endpoint(Request("GET", "/a?n=39", headers={"host": "h"}))
        assert kept.handler.runs == 40
        await kept.endpoint(Request("GET", "/a?n=0", headers={"host": "h"}))
        assert kept.handler.runs == 41


async def test_long_queries_make_room_too() -> None:
    async with Kept(CacheRule(60)) as kept:
        for number in range(2):
            for _ in range(2):  # the second is a hit
                target = f"/a?{number}={'x' * 8_000}"
                await kept.endpoint(Request("GET", target, headers={"host": "h"}))
        assert kept.answers._size > 16_000


@pytest.mark.parametrize("kept_ones", [True, False])
async def test_what_is_remembered_of_requests_takes_little_however_many_fields_they_have(kept_ones: bool) -> None:
    async with Kept(CacheRule(60)) as kept:
        if not kept_ones:
            kept.handler.make = lambda _: Response.text("x", headers={"cache-control": "no-store"})
        tracemalloc.start()
        try:
            for number in range(100):
                fields = "&".join(f"{number}x{field}" for field in range(60 if kept_ones else 900))
                for _ in range(2):  # the second is a hit
                    await kept.endpoint(Request("GET", f"/a?{fields}", headers={"host": "h"}))
            kept.answers._entries.clear()  # whose memory is counted
            kept.answers._by_name.clear()
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] < 400_000
        finally:
            tracemalloc.stop()


async def test_all_forms_of_all_answers_stay_within_the_memory_they_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 1_000_000
    monkeypatch.setattr("turnout.cache.kept.MAX_BYTES", limit)
    async with client_of(
        tmp_path, {"app/a/route.py": route('return Response.text(request.target + "x" * 1_100)')}
    ) as c:
        tracemalloc.start()
        try:
            for number, coding in product(range(300), ("identity", "identity", "br", "gzip", "zstd")):
                await c.get(f"/a?{number}", headers={"accept-encoding": coding})
            gc.collect()
            # A third more, for what is remembered of the requests themselves.
            assert tracemalloc.get_traced_memory()[0] < limit * 4 / 3
        finally:
            tracemalloc.stop()


async def test_a_revalidation_is_no_more_work_after_many_others() -> None:
    async with Kept(CacheRule(60)) as kept:
        steps = 0

        def step(frame: Any, event: str, _: Any) -> Any:
            nonlocal steps
            frame.f_trace_opcodes = True
            steps += event == "opcode"
            return step

        def steps_of(name: str) -> int:
            nonlocal steps
            steps = 0
            sys.settrace(step)
            try:
                kept.answers.revalidate(name)
            finally:
                sys.settrace(None)
            return steps

        first = steps_of("path:/first")
        for number in range(1_500):
            kept.answers.revalidate(f"path:/{number}")
        assert steps_of("path:/last") <= first + 10


async def test_what_is_not_there_is_remembered_of_some_requests_only() -> None:
    async with Kept(CacheRule(60)) as kept:
        kept.handler.make = lambda n: Response(None, 404)
        for number in range(1_200):
            await kept.endpoint(Request("GET", f"/a?{number}", headers={"host": "h"}))
        assert len(kept.answers._passed_until_s) == 1_000


async def test_what_made_room_is_held_by_nobody() -> None:
    kept = Kept(CacheRule(60))
    kept.handler.make = lambda n: Response(b"x" * 1_000)
    async with kept:
        for _ in range(2):
            await kept.get()
        entry = next(iter(kept.answers._entries.values()))
        kept.answers.revalidate("path:/a")
        assert not [each for each in gc.get_referrers(entry) if isinstance(each, (dict, tuple))]


PAGE = 'return Response.html("<p>A paragraph of a page</p>" * 100)'
UNPACK = {
    None: lambda body: body,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
}


async def test_a_kept_answer_is_compressed_once_for_each_coding(tmp_path: Path) -> None:
    compressed = []

    def note(frame: Any, event: str, called: Any) -> None:
        if event == "c_call" and called.__name__ in ("compress", "process"):
            compressed.append(called.__qualname__)

    async with client_of(tmp_path, {"app/a/route.py": route(PAGE)}) as client:
        await client.get("/a")
        for coding, unpack in UNPACK.items():
            fields = {"accept-encoding": coding or "identity"}
            sys.setprofile(note)
            try:
                answers = [await client.get("/a", headers=fields) for _ in range(5)]
            finally:
                sys.setprofile(None)
            assert {unpack(answer.body) for answer in answers} == {b"<p>A paragraph of a page</p>" * 100}
            assert {answer.headers.get("content-encoding") for answer in answers} == {coding}
            assert {answer.headers.get("vary") for answer in answers} == {"Accept-Encoding"}
            assert {(answer.headers.get("etag") or "").startswith("W/") for answer in answers} == {coding is not None}
            assert len(compressed) == (coding is not None)
            compressed.clear()
        elsewhere = await client.get("/a", headers={"accept-encoding": "br", "sec-fetch-site": "cross-site"})
        assert elsewhere.headers.get("content-encoding") is None
        etag = answers[0].headers.get("etag") or ""
        again = await client.get("/a", headers={"accept-encoding": "zstd", "if-none-match": etag})
        assert (again.status, again.body) == (304, b"")


async def test_what_comes_after_a_kept_answer_may_change_it_before_it_is_compressed(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": route(PAGE),
        "app/middleware.py": """
            async def middleware(request, call_next):
                response = await call_next(request)
                if request.headers.get("x-how") == "body":
                    response.body = request.headers.get("x-said").encode() * 100
                if request.headers.get("x-how") == "field":
                    response.headers.set("x-said", request.headers.get("x-said"))
                if request.headers.get("x-how") == "status":
                    response.status = 203
                return response
        """,
    }
    async with client_of(tmp_path, files) as client:
        page = b"<p>A paragraph of a page</p>" * 100

        async def ask(how: str, said: str = "") -> tuple[int, bytes, str | None]:
            fields = {"accept-encoding": "br", "x-how": how, "x-said": said}
            answer = await client.get("/a", headers=fields)
            return answer.status, brotli.decompress(answer.body), answer.headers.get("x-said")

        for _ in range(2):
            assert await ask("") == (200, page, None)
            assert await ask("body", "Something else") == (200, b"Something else" * 100, None)
            assert await ask("field", "more") == (200, page, "more")
            assert await ask("status") == (203, page, None)


async def test_a_cookie_that_is_added_to_a_kept_answer_is_stored_by_no_cache_on_the_way(tmp_path: Path) -> None:
    files = {
        "app/a/route.py": route(),
        "app/middleware.py": """
            async def middleware(request, call_next):
                response = await call_next(request)
                if not request.cookies:
                    response.set_cookie("visitor", request.id)
                return response
        """,
    }
    async with client_of(tmp_path, files) as client:
        for _ in range(3):
            client.cookies.clear()
            answer = await client.get("/a")
            assert (answer.json(), answer.headers.get("cache-control")) == (1, "no-store")
        again = await client.get("/a", headers={"cookie": "visitor=1"})
        assert again.headers.get("cache-control") == "public, max-age=0, must-revalidate"
