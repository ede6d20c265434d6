"""One list of requests that every door must answer alike."""

from __future__ import annotations

import zlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A request, the status it gets, and what its body must hold."""

    method: str
    target: str
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    holds: bytes | None = None  # part of the answer's body; None: not looked at
    chunked: bool = False  # send the body in chunks, without a length
    host: str | None = "localhost"
    given: tuple[Case, ...] = ()  # what is sent first, on this door
    soon: bool = False  # the answer may take a moment to become this, since something is done meanwhile

    @property
    def id(self) -> str:
        extra = "".join(f" {name}:{value[:20]}" for name, value in self.headers)
        body = f" {len(self.body)}:{zlib.crc32(self.body):x}" if self.body else ""
        given = "".join(f" after {each.method} {each.target[:40]}" for each in self.given)
        return f"{self.method} {self.target[:60]}{extra}{body}{' chunked' if self.chunked else ''} {self.host}{given}"


JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
PARTS = (("content-type", "multipart/form-data; boundary=xx"),)
GOOD = (("authorization", "Bearer good"),)
BROWSER = (*FORM, ("accept", "text/html"), ("sec-fetch-site", "same-origin"))
GZIP = (("accept-encoding", "gzip"),)
ADD = "/_actions/2febf314f4eff06263e8555cc476755b"  # app/notes/actions.py, add
CHANGED_NS = 1_767_312_000_000_000_000  # when every file of the sample was changed: 2026-01-02
HELLO_TAG = f'"{CHANGED_NS:x}-c"'
BYTES = bytes(range(256))
MULTIPART = (
    b'--xx\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--xx\r\ncontent-disposition: form-data; name="f"; filename="n.txt"\r\n'
    b"content-type: text/plain\r\n\r\nfile\r\n--xx--\r\n"
)

CASES = [
    # methods
    Case("GET", "/api/hello", 200, holds=b'{"message":"Hello World!"}'),
    Case("HEAD", "/api/hello", 200, holds=b""),
    Case("OPTIONS", "/api/hello", 204, holds=b""),
    Case("POST", "/api/hello", 201, holds=b'{"created":true}'),
    Case("PUT", "/api/hello", 405, holds=b"is not answered here"),
    Case("DELETE", "/api/hello", 405),
    Case("PATCH", "/api/hello", 405),
    Case("HEAD", "/api/empty", 200),
    Case("GET", "/api/empty", 204, holds=b""),
    # paths
    Case("GET", "/", 404, holds=b'"status":404'),
    Case("GET", "/nope", 404),
    Case("GET", "/api/hello/", 308, holds=b""),
    Case("GET", "//api//hello", 308),
    Case("GET", "/api/hello/?a=1&b=%20", 308),
    Case("GET", "/nope/", 404),
    Case("GET", "/API/hello", 404),
    Case("GET", "/api/%68ello", 200, holds=b"Hello"),
    Case("GET", "/api/items/7", 200, holds=b'"id":7'),
    Case("GET", "/api/items/7?q=1&q=%C3%A9+x", 200, holds='["1","é x"]'.encode()),
    Case("GET", "/api/items/x", 404),
    Case("GET", "/api/items/1_0", 404),
    Case("GET", "/api/items/101", 404, holds=b"No such item"),
    Case("GET", "/api/items/-1", 200, holds=b'"id":-1'),
    Case("GET", "/api/items/", 404),
    Case("DELETE", "/api/items/7", 204, holds=b""),
    Case("GET", "/files/a/b", 200, holds=b'"path":["a","b"]'),
    Case("GET", "/files/a%2Fb/c", 200, holds=b'"path":["a/b","c"],"canonical":"/files/a%2Fb/c"'),
    Case("GET", "/files/%25", 200, holds=b'["%"]'),
    Case("GET", "/files/%252F", 200, holds=b'["%2F"]'),
    Case("GET", "/files/%C3%A9", 200, holds='["é"]'.encode()),
    Case("GET", "/files/a;v=1/~x", 200, holds=b'["a;v=1","~x"]'),
    Case("GET", "/files/.env", 200, holds=b'[".env"]'),
    Case("GET", "/files", 404),
    Case("GET", "/docs", 200, holds=b"[]"),
    Case("GET", "/docs/a", 200, holds=b'["a"]'),
    Case("GET", "/docs/a/", 308),
    Case("GET", "/files/..", 400, holds=b"invalid_path"),
    Case("GET", "/files/../etc", 400),
    Case("GET", "/files/%2e%2E/etc", 400),
    Case("GET", "/files/.", 400),
    Case("GET", "/files/%00", 400),
    Case("GET", "/files/%5C", 400),
    Case("GET", "/files/%ff", 400),
    Case("GET", "/files/%", 400),
    Case("GET", "/api/hello?%", 200),
    # bodies
    Case("POST", "/api/echo", 200, b"abc", holds=b"abc"),
    Case("POST", "/api/echo", 200, b"", holds=b""),
    Case("POST", "/api/echo", 200, b"abc" * 1000, chunked=True, holds=b"abc" * 1000),
    Case("POST", "/api/echo", 200, b"\x00\xff" * 50_000, holds=b"\x00\xff" * 50_000),
    Case("PUT", "/api/echo", 200, b'{"a":[1,2.5,null,"\\u00e9"]}', JSON, '{"a":[1,2.5,null,"é"]}'.encode()),
    Case("PUT", "/api/echo", 400, b"{", JSON, b"line"),
    Case("PUT", "/api/echo", 400, b"", JSON),
    Case("PUT", "/api/echo", 400, b"[" * 65 + b"]" * 65, JSON),
    Case("PUT", "/api/echo", 400, b"NaN", JSON),
    Case("PUT", "/api/echo", 413, b'"' + b"a" * 1_000_001 + b'"', JSON),
    Case("PATCH", "/api/echo", 200, b"x" * 300_000, holds=b'{"size":300000}'),
    Case("PATCH", "/api/echo", 200, b"x" * 300_000, chunked=True, holds=b'{"size":300000}'),
    Case("PUT", "/api/items/7", 200, b'{"name":"pen","price":1.5}', JSON, b'"item":{"name":"pen","price":1.5}'),
    Case("PUT", "/api/items/7", 422, b'{"name":7,"price":"x"}', JSON, b'"pointer":"/price"'),
    Case("PUT", "/api/items/7", 422, b"{}", JSON, b"validation_failed"),
    Case("PUT", "/api/items/7", 400, b"{", JSON),
    Case("PUT", "/api/items/7", 415, b'{"name":"pen"}', (("content-type", "text/plain"),)),
    Case("PUT", "/api/items/x", 404, b'{"name":7}', JSON),
    # forms
    Case("POST", "/api/form", 200, b"a=1&b=%20+x&a=2", FORM, b'[["a","1"],["b","  x"],["a","2"]]'),
    Case("POST", "/api/form", 200, MULTIPART, PARTS, b'[["a","1"],["f",["n.txt","file"]]]'),
    Case("POST", "/api/form", 200, MULTIPART, PARTS, b'[["a","1"],["f",["n.txt","file"]]]', chunked=True),
    Case("POST", "/api/form", 400, MULTIPART[:60], PARTS),
    Case("POST", "/api/form", 415, b"{}", JSON),
    Case("POST", "/api/form", 413, b"a=" + b"x" * 70_000, FORM),
    # query models and types
    Case("GET", "/api/types?page=2&tags=a&tags=b", 200, holds=b'"page":2,"tags":["a","b"]'),
    Case("GET", "/api/types", 200, holds=b'"when":"2026-01-02T03:04:00Z","price":1.50'),
    Case("GET", "/api/types?page=two", 422, holds=b'"pointer":"/page"'),
    # streams, files, cookies, redirects
    Case("GET", "/api/stream", 200, holds=b"piece 0\npiece 1\npiece 2\npiece 3\npiece 4\n"),
    Case("HEAD", "/api/stream", 200, holds=b""),
    Case("GET", "/api/events", 200, holds=b'id: 3\ndata: {"number":3}'),
    Case("GET", "/api/events", 200, headers=(("last-event-id", "7"),), holds=b'id: 8\ndata: {"number":8}'),
    Case("GET", "/api/download", 200, holds=b"abcdefghijklmnopqrstuvwxyz"),
    Case("HEAD", "/api/download", 200, holds=b""),
    Case("GET", "/api/download", 206, headers=(("range", "bytes=2-4"),), holds=b"cde"),
    Case("GET", "/api/download", 416, headers=(("range", "bytes=99-"),)),
    Case("GET", "/api/download", 200, headers=(("range", "bytes=0-1,3-4"),)),
    Case("GET", "/api/download", 304, headers=(("if-none-match", "*"),), holds=b""),
    Case("GET", "/api/cookies", 200, headers=(("cookie", "a=1; b=2; a=3"),), holds=b'{"a":"1","b":"2"}'),
    Case("GET", "/api/moved", 303, holds=b""),
    # errors
    Case("GET", "/api/error", 500, holds=b'"title":"Internal Server Error"'),
    Case("GET", "/api/error?kind=http", 418, holds=b"I am a teapot"),
    Case("GET", "/api/error?kind=own", 409, holds=b'"code":"slug_taken"'),
    Case("GET", "/api/error?kind=cause", 502, holds=b"Upstream failed"),
    Case("GET", "/api/nothing", 500),
    # middleware
    Case("GET", "/api/secure", 401, holds=b"Unauthorized"),
    Case("GET", "/api/secure", 200, headers=GOOD, holds=b'{"secret":true}'),
    Case("GET", "/api/secure/", 308),
    Case("GET", "/api/%73ecure", 401),
    Case("POST", "/api/secure", 404, headers=GOOD, holds=b"mended"),
    Case("DELETE", "/api/secure", 500, headers=GOOD),
    Case("GET", "/api/sync", 200, holds=b'"path":"/api/sync"'),
    # hosts and probes
    Case("GET", "/api/hello", 200, host="LOCALHOST:8000"),
    Case("GET", "/api/hello", 400, host="evil.example", holds=b"invalid_host"),
    Case("GET", "/api/hello", 400, host="localhost.evil.example"),
    Case("GET", "/nope", 400, host="evil.example"),
    Case("GET", "/api/hello/", 400, host="evil.example"),
    Case("GET", "/api/hello", 400, host="localhost@evil.example"),
    Case("GET", "/livez", 200, host="evil.example", holds=b'{"status":"ok"}'),
    Case("GET", "/readyz", 200, holds=b'{"status":"ok"}'),
    Case("GET", "/startupz", 200),
    Case("POST", "/livez", 405),
    # fields and cookies
    Case("GET", "/api/fields?many", 200, holds=b"[]"),
    Case(
        "GET",
        "/api/fields",
        200,
        headers=(("x-b", "1"), ("x-a", "2"), ("x-c", "3")),
        holds=b'[["x-b","1"],["x-a","2"],["x-c","3"]]',
    ),
    Case("GET", "/api/fields", 200, headers=(("X-Upper-CASE", "Value"),), holds=b'["x-upper-case","Value"]'),
    Case("GET", "/api/fields", 200, headers=(("x-two", "a"), ("x-other", "b"), ("x-two", "c")), holds=b'["x-two"'),
    Case("GET", "/api/fields", 200, headers=(("x-empty", ""),), holds=b'["x-empty",""]'),
    Case("GET", "/api/fields", 200, headers=(("x-latin", "caf\xe9"),), holds="caf\xe9".encode()),
    Case("GET", "/api/fields", 200, headers=(("x-list", "a, b;q=0.5,  c"),), holds=b'"a, b;q=0.5,  c"'),
    Case("GET", "/api/fields", 200, headers=(("x-quoted", '"a \\" b"'),)),
    Case("GET", "/api/fields", 200, headers=(("x-long", "v" * 4000),), holds=b"v" * 4000),
    Case(
        "GET",
        "/api/fields",
        200,
        headers=tuple((f"x-{number}", str(number)) for number in range(60)),
        holds=b'["x-59","59"]',
    ),
    Case(
        "GET", "/api/fields", 200, headers=(("referer", "http://other.example/"), ("user-agent", "Tester/1.0 (a; b)"))
    ),
    Case("GET", "/api/cookies", 200, headers=(("cookie", "a=1"), ("cookie", "b=2")), holds=b'{"a":"1","b":"2"}'),
    Case("GET", "/api/cookies", 200, headers=(("cookie", 'q="a b"; e=; x=%20; n'),), holds=b'"x":'),
    Case("GET", "/api/cookies", 200, headers=(("cookie", "; ;=; a=b=c"),), holds=b'"a":"b=c"'),
    Case("GET", "/api/cookies/many", 200, holds=b"crumbs"),
    Case("HEAD", "/api/cookies/many", 200, holds=b""),
    Case("POST", "/api/cookies/many", 200, holds=b"one crumb"),
    # statuses
    *(
        Case("GET", f"/api/statuses/{code}", code, holds=b"text")
        for code in (200, 201, 203, 299, 300, 400, 402, 418, 451, 499, 500, 503, 599)
    ),
    *(Case("GET", f"/api/statuses/{code}", code, holds=b"") for code in (204, 205, 304)),
    Case("HEAD", "/api/statuses/404", 404, holds=b""),
    Case("HEAD", "/api/statuses/204", 204, holds=b""),
    Case("POST", "/api/statuses/304", 304, b"body", holds=b""),
    Case("HEAD", "/nope", 404, holds=b""),
    Case("HEAD", "/api/error", 500, holds=b""),
    Case("BREW", "/api/hello", 501),
    # bytes
    Case("GET", "/api/bytes", 200, holds=BYTES),
    Case("HEAD", "/api/bytes", 200, holds=b""),
    Case("GET", "/api/bytes?times=4000", 200, holds=BYTES * 4000),
    Case("POST", "/api/bytes", 200, BYTES, holds=b"[0,1,2,3,"),
    Case(
        "POST",
        "/api/bytes",
        200,
        "grün ☃".encode(),
        (("content-type", "text/plain; charset=utf-8"),),
        b"[103,114,195,188,",
    ),
    Case("POST", "/api/echo", 200, b"x" * 4_000_000, holds=b"x" * 4_000_000),
    Case("POST", "/api/hello", 201, b"not asked for", holds=b'{"created":true}'),
    Case("GET", "/api/hello", 200, b"a body with GET", holds=b"Hello"),
    Case("DELETE", "/api/items/8", 204, b"{}", JSON, b""),
    # queries
    Case("GET", f"/api/items/7?q={'x' * 6000}", 200, holds=b"x" * 6000),
    Case("GET", "/api/items/7?" + "&".join(f"q={number}" for number in range(300)), 200, holds=b'"299"]'),
    Case("GET", "/api/items/7?", 200, holds=b'"q":[]'),
    Case("GET", "/api/items/7?q=a%26b&q=c%3Dd&q=%2B", 200, holds=b'["a&b","c=d","+"]'),
    Case("GET", "/api/items/7?r=1&q=2&r=3", 200, holds=b'["2"]'),
    Case("GET", "/api/items/7?q=a?b/c:@", 200, holds=b'["a?b/c:@"]'),
    Case("GET", "/api/items/7?&&q&=&q=1&", 200, holds=b'["","1"]'),
    Case("GET", "/files/a//b", 308),
    Case("GET", "/files/a%2F%2Fb", 200, holds=b'["a//b"]'),
    Case("GET", "/files/a%20b%2Bc+d", 200, holds=b'["a b+c+d"]'),
    Case("GET", "/files/q%3Fx%23y", 200, holds=b'["q?x#y"]'),
    Case("GET", "/files/" + "/".join("abcdefgh"), 200, holds=b'"a","b","c","d","e","f","g","h"'),
    Case("GET", "/files/" + "n" * 1500, 200, holds=b"n" * 1500),
    # redirects
    *(Case("GET", f"/api/away?to=/x&status={code}", code, holds=b"") for code in (301, 302, 303, 307, 308)),
    Case("GET", "/api/away?to=https://other.example/p%3Fa%3D1", 307, holds=b""),
    Case("POST", "/api/away?status=303", 303, b"x=1", FORM, b""),
    Case("GET", "/api/away?to=/gr%C3%BCn", 307, holds=b""),
    # streams
    Case("GET", "/api/pieces", 200, holds=b"\x13" * 5000),
    Case("HEAD", "/api/pieces", 200, holds=b""),
    Case("POST", "/api/pieces", 200, BYTES * 300, holds=BYTES * 300),
    Case("POST", "/api/pieces", 200, BYTES * 300, chunked=True, holds=BYTES * 300),
    Case("POST", "/api/pieces", 200, b"", holds=b""),
    # compression
    Case("GET", "/api/large", 200, holds=b'{"number":3999,"name":"name 2"}]'),
    Case("GET", "/api/large", 200, headers=GZIP),
    Case("GET", "/api/large", 200, headers=(("accept-encoding", "gzip;q=0, identity"),), holds=b"3999"),
    Case("HEAD", "/api/large", 200, headers=GZIP, holds=b""),
    Case("GET", "/api/prose", 200, holds="größer".encode()),
    Case("GET", "/api/prose", 200, headers=GZIP),
    Case("GET", "/api/prose?html", 200, headers=GZIP),
    Case("GET", "/api/prose", 200, headers=(*GZIP, ("if-none-match", 'W/"prose"'))),
    Case("GET", "/api/bytes?times=100", 200, headers=GZIP, holds=BYTES * 100),
    Case("GET", "/sub/style.css", 200, headers=GZIP),
    Case("GET", "/sub/style.css", 304, headers=(*GZIP, ("if-none-match", "*")), holds=b""),
    # static files
    Case("GET", "/hello.txt", 200, holds=b"plain words\n"),
    Case("HEAD", "/hello.txt", 200, holds=b""),
    Case("GET", "/empty.txt", 200, holds=b""),
    Case("GET", "/dot.png", 200, holds=b"\x89PNG\r\n\x1a\n\x00\x01\x02\xff"),
    Case("GET", "/a%20b.txt", 200, holds=b"spaced\n"),
    Case("GET", "/sub/style.css", 200, holds=b".class-200"),
    Case("GET", "/sub", 404),
    Case("GET", "/sub/../hello.txt", 400),
    Case("POST", "/hello.txt", 405),
    Case("GET", "/hello.txt", 304, headers=(("if-none-match", HELLO_TAG),), holds=b""),
    Case("GET", "/hello.txt", 304, headers=(("if-none-match", f'"x", {HELLO_TAG}'),), holds=b""),
    Case("GET", "/hello.txt", 200, headers=(("if-none-match", '"other"'),), holds=b"plain words"),
    Case("GET", "/hello.txt", 304, headers=(("if-modified-since", "Sat, 03 Jan 2026 00:00:00 GMT"),), holds=b""),
    Case("GET", "/hello.txt", 200, headers=(("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),), holds=b"plain"),
    Case("GET", "/hello.txt", 206, headers=(("range", "bytes=6-"),), holds=b"words\n"),
    Case("GET", "/hello.txt", 206, headers=(("range", "bytes=-3"),), holds=b"ds\n"),
    Case("GET", "/hello.txt", 206, headers=(("range", "bytes=0-0"), ("if-range", HELLO_TAG)), holds=b"p"),
    Case("GET", "/hello.txt", 200, headers=(("range", "bytes=0-0"), ("if-range", '"other"')), holds=b"plain words"),
    Case("GET", "/hello.txt", 416, headers=(("range", "bytes=12-"),)),
    Case("HEAD", "/hello.txt", 200, headers=(("range", "bytes=0-1"),), holds=b""),
    # what is left behind for a later request: after(), kept answers, limits, messages
    Case("POST", "/api/after?note=one", 202, holds=b"later"),
    Case(
        "GET",
        "/api/after?note=two",
        200,
        holds=b'{"done":true}',
        given=(Case("POST", "/api/after?note=two", 202),),
        soon=True,
    ),
    Case("GET", "/api/kept/a", 200, holds=b'{"run":1}', given=(Case("GET", "/api/kept/a", 200),)),
    Case(
        "GET",
        "/api/kept/b",
        200,
        holds=b'{"run":2}',
        given=(Case("GET", "/api/kept/b", 200), Case("POST", "/api/kept/b", 200)),
    ),
    Case("HEAD", "/api/kept/c", 200, holds=b"", given=(Case("GET", "/api/kept/c", 200),)),
    Case("GET", "/api/limited", 429, holds=b'"status":429', given=(Case("GET", "/api/limited", 200),)),
    # pages and actions
    Case("GET", "/notes", 200, holds=f'action="{ADD}"'.encode()),
    Case("HEAD", "/notes", 200, holds=b""),
    Case("POST", ADD, 303, b"text=hello", BROWSER, b""),
    Case("POST", ADD, 422, b"text=shout", BROWSER, b"Please do not shout."),
    Case("POST", ADD, 422, b"times=many", BROWSER),
    Case("POST", ADD, 200, b'{"text":"hello"}', JSON, b'"redirect":"/notes"'),
    Case("POST", ADD, 422, b'{"text":"shout"}', JSON, b'"field_errors":{"text"'),
    Case("POST", ADD, 403, b"text=hello", (*FORM, ("sec-fetch-site", "cross-site")), b"cross_origin"),
    Case("POST", ADD, 403, b"text=hello", (*FORM, ("origin", "https://evil.example")), b"cross_origin"),
    Case("GET", ADD, 405),
    Case("POST", "/_actions/00000000000000000000000000000000", 404, b"{}", JSON, b"action_not_found"),
    # no header changes control flow
    *(
        Case("GET", "/api/secure", 401, headers=((name, value),), holds=b"Unauthorized")
        for name, value in [
            ("x-middleware-subrequest", "middleware:middleware:middleware"),
            ("x-original-url", "/api/hello"),
            ("x-rewrite-url", "/api/hello"),
            ("x-http-method-override", "POST"),
            ("x-forwarded-host", "evil.example"),
            ("x-turnout-internal", "1"),
            ("x-forwarded-for", "127.0.0.1"),
        ]
    ),
]
