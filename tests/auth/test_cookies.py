"""The layout of session cookies: its edges, and both ways with the real @supabase/ssr in Node."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.auth.cookies import (
    MAX_AGE_S,
    MAX_CHUNK,
    VERIFIER,
    Jar,
    decode,
    encode,
    is_chunk,
    join,
    storage_key,
    to_chunks,
)
from turnout.errors import TurnoutError
from turnout.http.request import Request

JS = Path(__file__).parents[1] / "js"
KEY = "sb-127-auth-token"
needs_node = pytest.mark.skipif(
    not (JS / "node_modules" / "@supabase" / "ssr").is_dir(), reason="npm ci in tests/js was not run"
)


def request(cookies: dict[str, str] | None = None) -> Request:
    line = "; ".join(f"{name}={value}" for name, value in (cookies or {}).items())
    return Request("GET", "/", headers={"cookie": line} if line else None)


def sent(request: Request) -> dict[str, tuple[str, int]]:
    """The cookies that the response sets: value and age by name."""
    return {name: (value, options["max_age"]) for name, value, options in request.set_cookies or ()}


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("abcdefgh.supabase.co", "sb-abcdefgh-auth-token"),
        ("127.0.0.1", "sb-127-auth-token"),
        ("localhost", "sb-localhost-auth-token"),
        ("[::1]", "sb-1-auth-token"),
        ("www.example.com", "sb-www-auth-token"),
    ],
)
def test_the_name_is_that_of_the_hosts_first_label(host: str, key: str) -> None:
    assert storage_key(host) == key


@pytest.mark.parametrize(
    ("length", "sizes"),
    [
        (3179, [3179]),
        (3180, [3180]),
        (3181, [3180, 1]),
        (6360, [3180, 3180]),
        (6361, [3180, 3180, 1]),
    ],
)
def test_a_value_is_cut_at_3180_characters(length: int, sizes: list[int]) -> None:
    value = "a" * length

    chunks = to_chunks(KEY, value)

    names = [KEY] if len(sizes) == 1 else [f"{KEY}.{number}" for number in range(len(sizes))]
    assert [(name, len(text)) for name, text in chunks] == list(zip(names, sizes, strict=True))
    assert join(KEY, dict(chunks)) == value


@settings(deadline=None)
@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner)))
def test_what_is_written_is_read_again(data: Any) -> None:
    text = json.dumps(data)
    chunks = to_chunks(KEY, encode(text))

    assert decode(join(KEY, dict(chunks)) or "") == text
    assert all(len(value) <= MAX_CHUNK for _, value in chunks)


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda data: "base64-" + data.hex()) | st.from_regex(r"base64-[\w=-]{0,40}"))
def test_nonsense_is_no_content_and_no_error(value: str) -> None:
    text = decode(value)

    assert text is None or json.loads(text) is not Ellipsis


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (KEY, True), (f"{KEY}.0", True), (f"{KEY}.12", True), (f"{KEY}.01", False), (f"{KEY}.", False),
        (f"{KEY}.a", False), (f"{KEY}{VERIFIER}", False), (f"{KEY}.0.0", False), (f"{KEY}.٣", False), ("0", False),
    ],
)  # fmt: skip
def test_a_chunk_is_told_by_its_name(name: str, is_one: bool) -> None:
    assert is_chunk(name, KEY) is is_one


def test_a_whole_cookie_wins_over_chunks_and_a_gap_ends_them() -> None:
    assert join(KEY, {KEY: "a", f"{KEY}.0": "b"}) == "a"
    assert join(KEY, {KEY: "", f"{KEY}.0": "b", f"{KEY}.1": "c", f"{KEY}.3": "d"}) == "bc"
    assert join(KEY, {f"{KEY}.1": "c"}) is None


def test_a_shorter_session_drops_the_chunks_that_are_left_over() -> None:
    asked = request({f"{KEY}.{number}": "x" for number in range(4)} | {f"{KEY}{VERIFIER}": "y", "theme": "dark"})

    Jar(asked, KEY).set(KEY, json.dumps({"a": "b" * 3000}))

    assert {name: age for name, (_, age) in sent(asked).items()} == {
        f"{KEY}.2": 0, f"{KEY}.3": 0, f"{KEY}.0": MAX_AGE_S, f"{KEY}.1": MAX_AGE_S,
    }  # fmt: skip


def test_the_last_word_on_a_cookie_is_the_only_one_sent() -> None:
    asked = request({f"{KEY}.0": "x", f"{KEY}.1": "x"})
    jar = Jar(asked, KEY)

    jar.set(KEY, '{"a":1}')
    jar.set(KEY + VERIFIER, '"v"')
    jar.delete(KEY)

    assert sent(asked) == {
        f"{KEY}.0": ("", 0), f"{KEY}.1": ("", 0), KEY: ("", 0), KEY + VERIFIER: (encode('"v"'), MAX_AGE_S)
    }  # fmt: skip
    assert jar.get(KEY) is None and jar.get(KEY + VERIFIER) == '"v"'


def test_deleting_what_is_not_there_sets_no_cookie() -> None:
    asked = request({"theme": "dark"})

    Jar(asked, KEY).delete(KEY)

    assert asked.set_cookies is None and asked.answer_headers == ()


def test_cookies_are_for_the_server_alone_unless_a_browser_client_reads_them() -> None:
    first, second = request(), request()

    Jar(first, KEY).set(KEY, "{}")
    Jar(second, KEY, http_only=False).set(KEY, "{}")

    for asked, http_only in ((first, True), (second, False)):
        ((_, _, options),) = asked.set_cookies or ()
        assert options == {"max_age": 34_560_000, "path": "/", "http_only": http_only, "same_site": "lax"}
        assert dict(asked.answer_headers)["cache-control"] == "private, no-cache, no-store, must-revalidate, max-age=0"


def test_a_session_cannot_be_kept_once_the_response_has_begun() -> None:
    asked = request()
    asked.answered = True

    with pytest.raises(TurnoutError, match="has begun"):
        Jar(asked, KEY).set(KEY, "{}")


# -- with the real client

SCRIPT = """
import { createServerClient } from "@supabase/ssr";
globalThis.WebSocket ??= class {};  // Node 20 has none, and nothing here opens one
const { url, cookies, write } = JSON.parse(process.argv[1]);
const jar = new Map(Object.entries(cookies));
const set = [], headers = {};
const client = createServerClient(url, "anon-key", { cookies: {
  getAll: () => [...jar].map(([name, value]) => ({ name, value })),
  setAll: (all, given) => { set.push(...all); Object.assign(headers, given); },
}});
const storage = client.auth.storage;
const key = client.auth.storageKey;
if (write !== null) {
  await client.auth.getSession();
  set.length = 0;
  await storage.setItem(key, write);
  await storage.setItem(key + "-code-verifier", JSON.stringify("v".repeat(56)));
  client.auth._notifyAllSubscribers("SIGNED_IN", null);
  await new Promise((done) => setTimeout(done, 20));
}
console.log(JSON.stringify({ key, read: await storage.getItem(key),
  verifier: await storage.getItem(key + "-code-verifier"), set, headers }));
process.exit(0);
"""


def node(url: str, cookies: dict[str, str], write: str | None = None) -> Any:
    asked = json.dumps({"url": url, "cookies": cookies, "write": write})
    done = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT, asked], cwd=JS, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def session(size: int) -> str:
    """A session whose cookie value has *size* characters; base64 gives no length of 4n + 1."""
    text = '{"access_token":"é","refresh_token":""}'
    bytes_wanted = (size - len("base64-")) * 6 // 8
    return text[:-2] + "r" * (bytes_wanted - len(text.encode())) + text[-2:]


@needs_node
@pytest.mark.parametrize("size", [400, 3179, 3180, 3181, 6360, 6363, 9541])
def test_supabase_ssr_reads_what_we_wrote(size: int) -> None:
    text = session(size)
    asked = request()
    jar = Jar(asked, KEY)
    jar.set(KEY, text)
    jar.set(KEY + VERIFIER, json.dumps("a" * 56 + "/PASSWORD_RECOVERY"))

    found = node("http://127.0.0.1:54321", {name: value for name, (value, _) in sent(asked).items()})

    assert found["key"] == KEY
    assert found["read"] == text
    assert json.loads(found["verifier"]) == "a" * 56 + "/PASSWORD_RECOVERY"


@needs_node
@pytest.mark.parametrize("size", [400, 3179, 3180, 3181, 6360, 6363])
def test_we_write_the_very_bytes_that_supabase_ssr_writes(size: int) -> None:
    text = session(size)
    before = {f"{KEY}.{number}": "old" for number in range(4)}
    found = node("http://127.0.0.1:54321", before, text)
    theirs = {each["name"]: each for each in found["set"]}

    asked = request(before)
    jar = Jar(asked, KEY)
    jar.set(KEY, text)
    jar.set(KEY + VERIFIER, json.dumps("v" * 56))

    assert sent(asked) == {name: (each["value"], each["options"]["maxAge"]) for name, each in theirs.items()}
    options = theirs[KEY + VERIFIER]["options"]
    assert (options["path"], options["sameSite"]) == ("/", "lax")
    assert {name.lower(): value for name, value in found["headers"].items()} == dict(asked.answer_headers)
    assert Jar(request({name: each["value"] for name, each in theirs.items() if each["value"]}), KEY).get(KEY) == text
