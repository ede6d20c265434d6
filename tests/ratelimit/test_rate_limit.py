"""rate_limit(), check() and the route constant: what callers get, and what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import sqlite3
import tracemalloc

import http_sfv
import pytest
from projects import SETTINGS, client_of

from turnout import ConfigError, TooManyRequests, rate_limit
from turnout import ratelimit as module
from turnout.http.address import Trust
from turnout.http.request import Request
from turnout.ratelimit import RateLimit, parse_rate, parse_window
from turnout.store import Memory, StoreUnavailable, configure, store


@pytest.fixture(autouse=True)
def _empty(monkeypatch):
    monkeypatch.delenv("STORE_URL", raising=False)
    configure("memory:")
    rate_limit._away_until = rate_limit._logged = 0.0
    yield
    configure("memory:")


# -- the call


async def test_a_call_over_the_limit_is_told_when_to_come_back():
    results = [await rate_limit("203.0.113.7", limit=3, window="1 min") for _ in range(4)]

    assert [each.success for each in results] == [True, True, True, False]
    assert [each.remaining for each in results] == [2, 1, 0, 0]
    assert [each.retry_after for each in results] == [0, 0, 0, 20]
    assert [each.reset for each in results] == [20, 40, 60, 60]
    assert results[3].limit == 3


async def test_the_shape_of_the_specification_works():
    async def post(ip):
        result = await rate_limit(ip)
        if not result.success:
            return 429
        return 200

    assert [await post("203.0.113.7") for _ in range(11)] == [200] * 10 + [429]


async def test_a_result_is_true_where_it_is_a_success():
    assert await rate_limit("a", limit=1)
    assert not await rate_limit("a", limit=1)


async def test_keys_limits_and_windows_have_counts_of_their_own():
    assert await rate_limit("a", limit=1)
    assert await rate_limit("b", limit=1)
    assert await rate_limit("a", limit=2)
    assert await rate_limit("a", limit=1, window="1 min")
    assert not await rate_limit("a", limit=1)


async def test_a_cost_counts_for_so_many_calls():
    assert (await rate_limit("a", limit=10, window="1 h", cost=7)).remaining == 3
    refused = await rate_limit("a", limit=10, window="1 h", cost=4)

    assert (refused.success, refused.remaining, refused.retry_after) == (False, 3, 360)
    assert (await rate_limit("a", limit=10, window="1 h", cost=3)).remaining == 0


async def test_an_ipv6_client_is_its_64_and_an_ipv4_one_its_address():
    for same in ("2001:db8:1:2::1", "2001:DB8:1:2:ffff::9", "2001:db8:1:2:0:0:0:3%eth0"):
        last = await rate_limit(same, limit=3, window="1 h")
    assert last.remaining == 0
    assert (await rate_limit("2001:db8:1:3::1", limit=3, window="1 h")).remaining == 2
    assert (await rate_limit("203.0.113.7", limit=3, window="1 h")).remaining == 2
    assert (await rate_limit("::ffff:203.0.113.7", limit=3, window="1 h")).remaining == 1
    assert (await rate_limit(None, limit=3, window="1 h")).remaining == 2
    assert (await rate_limit(None, limit=3, window="1 h")).remaining == 1


async def test_a_long_key_takes_no_more_room_than_a_short_one():
    for key in ("k" * 100_000, "k" * 100_001, "\ud800" * 300):
        assert (await rate_limit(key, limit=2)).remaining == 1
    assert (await rate_limit("k" * 100_000, limit=2)).remaining == 0

    assert all(len(key) < 300 for key in store.backend._used)


async def test_long_keys_are_not_kept_to_be_named_sooner():
    tracemalloc.start()
    try:
        for number in range(50):
            await rate_limit(f"{number}" + "k" * 100_000, limit=2)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("10 s", 10_000_000),
        ("10s", 10_000_000),
        ("1.5 s", 1_500_000),
        ("500 ms", 500_000),
        ("min", 60_000_000),
        ("5 Min", 300_000_000),
        ("2 hours", 7_200_000_000),
        ("1 day", 86_400_000_000),
        ("366 d", 366 * 86_400_000_000),
    ],
)
def test_a_window_is_read(text, microseconds):
    assert parse_window(text) == microseconds


@pytest.mark.parametrize(
    "text",
    ["", "never", "ten s", "0 s", "-1 s", "10", "10 x", "1 s 2 s", "367 d", "1e3 s", "١ s", "1/s", None, 10, b"1 s"],
)
async def test_a_window_of_no_time_is_refused_with_the_cure(text):
    with pytest.raises(ValueError, match=r'write a number and ms, s, min, hour or day.*"10 s"'):
        parse_window(text)
    with pytest.raises(ValueError, match="no window of time"):
        await rate_limit("a", window=text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("20/min", (20, 60_000_000)), ("5/10s", (5, 10_000_000)), (" 1 / 2 hours ", (1, 7_200_000_000))],
)
def test_a_rate_is_read(text, rate):
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["ten per never", "20", "0/min", "/min", "20/", "20/never", "1.5/s", "-1/s", "", None])
def test_a_rate_that_is_none_is_refused_with_the_cure(text):
    with pytest.raises(ValueError, match="write a number"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"limit": 0}, "limit is a whole number from 1"),
        ({"limit": 1.5}, "limit is a whole number"),
        ({"limit": 2_000_000, "window": "1 s"}, "more than one each microsecond"),
        ({"cost": 0}, "cost is a whole number"),
        ({"cost": 11}, "to the limit, which is 10"),
    ],
)
async def test_numbers_that_make_no_sense_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        await rate_limit("a", **arguments)


# -- the fields


@pytest.mark.parametrize("window", ["1 ms", "500 ms", "1 s", "1.5 s", "366 d"])
@pytest.mark.parametrize("limit", [1, 999])
async def test_the_fields_are_structured_fields(window, limit):
    for _ in range(2):
        fields = dict((await rate_limit("a", limit=limit, window=window)).headers())
        policy, left = http_sfv.List(), http_sfv.List()
        policy.parse(fields["ratelimit-policy"].encode())
        left.parse(fields["ratelimit"].encode())
        assert (policy[0].value, policy[0].params["q"]) == ("default", limit)
        assert policy[0].params.get("w") == {"1 s": 1, "366 d": 31_622_400}.get(window)
        assert left[0].value == "default"
        assert 0 <= left[0].params["r"] < limit and left[0].params["t"] >= 1


def test_a_refusal_says_when_and_a_success_does_not():
    assert RateLimit(False, 100, 0, 60, 1, 60.0).headers() == [
        ("ratelimit-policy", '"default";q=100;w=60'),
        ("ratelimit", '"default";r=0;t=60'),
        ("retry-after", "1"),
    ]
    assert RateLimit(True, 1, 0, 1, 0, 0.5).headers() == [
        ("ratelimit-policy", '"default";q=1'),
        ("ratelimit", '"default";r=0;t=1'),
    ]


# -- check


def a_request(peer="203.0.113.7", path="/api/a", **headers):
    return Request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()}, peer=peer)


async def test_check_counts_the_client_and_raises_over_the_limit():
    for _ in range(2):
        assert (await rate_limit.check(a_request(), limit=2, window="1 min")).success
    with pytest.raises(TooManyRequests) as caught:
        await rate_limit.check(a_request(), limit=2, window="1 min")

    assert dict(caught.value.headers)["retry-after"] == "30"
    assert await rate_limit.check(a_request(peer="203.0.113.8"), limit=2, window="1 min")
    assert await rate_limit.check(a_request(path="/api/b"), limit=2, window="1 min")


async def test_check_believes_a_forwarded_address_only_from_a_trusted_proxy():
    for each in range(3):  # a client that makes its addresses up
        request = a_request(x_forwarded_for=f"198.51.100.{each}")
        last = rate_limit.check(request, limit=2, window="1 min")
        if each < 2:
            await last
    with pytest.raises(TooManyRequests):
        await last
    for each in range(3):
        request = a_request(peer="10.0.0.1", x_forwarded_for=f"6.6.6.{each}, 198.51.100.7")
        request.trust = Trust.of(["10.0.0.0/8"])
        last = rate_limit.check(request, limit=2, window="1 min")
        if each < 2:
            await last
    with pytest.raises(TooManyRequests):
        await last


async def test_check_counts_a_user_wherever_the_user_is():
    for each in range(3):
        request = a_request(peer=f"203.0.113.{each}")
        request.state.user = {"id": 7}
        last = rate_limit.check(request, limit=2, window="1 min")
        if each < 2:
            await last
    with pytest.raises(TooManyRequests):
        await last
    assert await rate_limit.check(a_request(peer="203.0.113.0"), limit=2, window="1 min")


# -- the route constant

ROUTE = """
rate_limit = "2/min"

async def GET(request):
    if request.search:
        raise ValueError("planted")
    return {"ok": True}

async def POST(request):
    return {"read": len(await request.bytes())}
"""


async def test_a_route_that_says_its_limit_is_limited_and_says_so(tmp_path):
    async with client_of(tmp_path, {"app/api/a/route.py": ROUTE, "app/api/b/route.py": ROUTE}) as client:
        answers = [await client.get("/api/a"), await client.post("/api/a", body=b"xyz"), await client.get("/api/a")]

        assert [each.status for each in answers] == [200, 200, 429]
        assert [each.headers.get("ratelimit") for each in answers] == [
            '"default";r=1;t=30',
            '"default";r=0;t=60',
            '"default";r=0;t=60',
        ]
        assert {each.headers.get("ratelimit-policy") for each in answers} == {'"default";q=2;w=60'}
        assert [each.headers.get("retry-after") for each in answers] == [None, None, "30"]
        problem = answers[2].json()
        assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert (problem["status"], problem["code"]) == (429, "too_many_requests")
        assert (await client.get("/api/b")).status == 200


async def test_an_answer_that_is_an_error_carries_the_fields_too(tmp_path):
    async with client_of(tmp_path, {"app/api/a/route.py": ROUTE}) as client:
        answer = await client.get("/api/a?x")

        assert (answer.status, answer.headers.get("ratelimit")) == (500, '"default";r=1;t=30')


async def test_a_limit_is_judged_before_middleware_and_before_the_body_is_read(tmp_path):
    files = {
        "app/api/a/route.py": ROUTE,
        "app/middleware.py": """
            ran = []

            async def middleware(request, next):
                ran.append(request.path)
                response = await next(request)
                response.headers.set("x-ran", str(len(ran)))
                return response
            """,
    }

    async def body():
        raise AssertionError("the body was read")
        yield b""

    async with client_of(tmp_path, files) as client:
        for _ in range(2):
            await client.get("/api/a")
        answer = await client.post("/api/a", body=body())

        assert answer.status == 429
        assert not answer.headers.has("x-ran")


@pytest.mark.parametrize("rate", ["ten per never", "0/min", "20/never", "20/999999 days"])
def test_a_route_with_a_limit_that_is_none_does_not_start(tmp_path, rate):
    with pytest.raises(ConfigError, match="rate_limit") as caught:
        client_of(tmp_path, {"app/a/route.py": f"rate_limit = {rate!r}\nasync def GET(request): ...\n"})

    assert "20/min" in str(caught.value)
    assert str(caught.value.file).endswith("route.py")


async def test_a_route_may_import_the_function_that_has_the_constants_name(tmp_path):
    route = """
        from turnout import Response, rate_limit

        async def GET(request):
            result = await rate_limit(request.ip, limit=1)
            return Response.json({"left": result.remaining}, 200 if result else 429, result.headers())
        """
    async with client_of(tmp_path, {"app/a/route.py": route}) as client:
        assert [(await client.get("/a")).status for _ in range(2)] == [200, 429]


# -- a store that is away


@pytest.fixture
def away(tmp_path, caplog):
    """The project's store is a file that another holds."""
    configure(f"sqlite:///{tmp_path}/no/such/folder/store.db")
    caplog.set_level(logging.WARNING)
    return caplog


async def test_without_the_store_allow_counts_in_the_process_and_says_so_once(away):
    results = [await rate_limit("a", limit=3, window="1 min") for _ in range(5)]

    assert [each.success for each in results] == [True, True, True, False, False]
    lines = [record.getMessage() for record in away.records]
    assert len(lines) == 1
    assert re.search(r"the store is away, counting in this process alone: .*no/such/folder", lines[0])


async def test_without_the_store_deny_refuses_with_503(away):
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            await rate_limit("a", on_error="deny")

    assert (caught.value.status, caught.value.headers) == (503, (("retry-after", "1"),))
    assert [record.getMessage().partition(":")[0] for record in away.records] == ["rate limits"]


async def test_a_store_that_is_away_is_left_alone_for_a_while_and_then_asked_again(away, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "AWAY_S", 1)
    await rate_limit("a", limit=100)
    configure(f"sqlite:///{tmp_path}/store.db")
    await rate_limit("a", limit=100)
    assert not (tmp_path / "store.db").exists()
    await asyncio.sleep(1.02)
    assert (await rate_limit("a", limit=100)).remaining == 99
    await store.close()

    with contextlib.closing(sqlite3.connect(tmp_path / "store.db")) as file:
        assert file.execute("select count(*) from used").fetchone() == (1,)


class Slow(Memory):
    """A store that takes its time to fail."""

    asked = 0

    async def take(self, *args):
        self.asked += 1
        await asyncio.sleep(0.02)
        raise StoreUnavailable


async def test_one_call_finds_out_whether_the_store_is_back(monkeypatch):
    monkeypatch.setattr(module, "AWAY_S", 1)
    slow = Slow()
    monkeypatch.setattr(store, "_backend", slow)
    await rate_limit("a")
    assert slow.asked == 1
    await asyncio.sleep(1.02)
    await asyncio.gather(*(rate_limit("a") for _ in range(50)))

    assert slow.asked == 2


async def test_a_limited_route_is_served_while_the_store_is_away(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("STORE_URL", f"sqlite:///{tmp_path}/no/such/folder/store.db")
    async with client_of(tmp_path, {"app/api/a/route.py": ROUTE}) as client:
        assert [(await client.get("/api/a")).status for _ in range(3)] == [200, 200, 429]
    assert "counting in this process alone" in caplog.text


# -- where the project's store is


def test_production_shares_a_file_and_tests_use_memory(tmp_path, monkeypatch, caplog):
    from projects import make_project

    from turnout import load_project

    monkeypatch.delenv("STORE_URL", raising=False)
    root = make_project(tmp_path, {"app/route.py": "async def GET(request): ...\n", "pyproject.toml": SETTINGS})
    load_project(root, mode="production")
    assert repr(store) == "<Store sqlite>"
    assert store.backend._path == root / "data/store.db"
    load_project(root, mode="test")
    assert repr(store) == "<Store memory>"
    monkeypatch.setenv("STORE_URL", "memory:")
    load_project(root, mode="production")
    assert "every worker counts alone" in caplog.text
    monkeypatch.setenv("STORE_URL", "mysql://x:y@z")
    with pytest.raises(ConfigError, match="valkey://host") as caught:
        load_project(root, mode="production")
    assert "y@z" not in str(caught.value)
