"""One list of requests that every door must answer alike."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """A request, the status it gets, and what its body must hold."""

    method: str
    target: str
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    holds: bytes | None = field(default=None)  # part of the answer's body; None: not looked at
    chunked: bool = False  # send the body in chunks, without a length
    host: str | None = "localhost"

    @property
    def id(self) -> str:
        extra = "".join(f" {name}:{value[:20]}" for name, value in self.headers)
        body = f" {len(self.body)}:{zlib.crc32(self.body):x}" if self.body else ""
        return f"{self.method} {self.target[:60]}{extra}{body}{' chunked' if self.chunked else ''} {self.host}"


JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
PARTS = (("content-type", "multipart/form-data; boundary=xx"),)
GOOD = (("authorization", "Bearer good"),)
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
