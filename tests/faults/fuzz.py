"""Requests that are broken or odd, from a seed, sent to a real server; every answer is taken apart.

Each conversation is made of whole requests (methods, targets, fields, lengths, chunks, codings,
JSON, forms, pipelines), bent in up to six places, cut into pieces and sent. What is not an answer
in order is a finding; so is a connection that the server neither answers nor ends.

    python -m faults.fuzz PORT COUNT [SEED]     # in tests/; any server, for comparison
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import re
import sys
from collections import Counter
from dataclasses import dataclass, field

from server.test_fuzz import TOKENS, mutate

HANG_S = 60.0  # the server's own deadlines are a second or two
GET_PATHS = ["/api/hello", "/api/items/7?q=a&limit=2", "/api/notes", "/api/stream?items=3", "/livez"]
POST_PATHS = ["/api/notes", "/api/notes", "/api/echo", "/api/form"]
ODD_PATHS = [
    "/api/items/x", "/api/items/%C3%A9", "/api/nothing", "//api//hello", "/api/hello/", "/api/%2e%2e/x", "/readyz", "*",
    "/", "http://localhost/api/hello", "http://example.com/api/hello", "/api/hello?" + "a=b&" * 300, "/" + "x" * 2_100,
]  # fmt: skip
FIELDS = [
    "Accept: */*", "Accept: application/json;q=0.5, text/html", 'Cookie: a=b; c; d="e"; =f', "Content-Encoding: gzip",
    "X-Forwarded-For: 1.2.3.4, x", "Accept-Encoding: gzip, br", "Expect: 100-continue", "Connection: keep-alive",
    "Connection: close", "Authorization: Basic !!!", "Range: bytes=0-1,5-", 'If-None-Match: W/"x"', "TE: trailers",
    "X: " + "y" * 5_000, "X-Http-Method-Override: DELETE", 'Forwarded: for="[::1]"', "Origin: null",
    "Content_Length: 3",
]  # fmt: skip
ODD_FIELDS = [
    "Expect: miracles",
    "Upgrade: websocket",
    "Connection: upgrade",
    "X: " + "z" * 40_000,
    "Content-Length: 1",
]
JSONS = [
    b'{"text":"x"}', b'{"text":"x"}', b'{"text":"x"}', b'{"text":1}', b'{"text":"\\ud800"}', b'{"text":', b"NaN",
    b"null",
    b"[" * 200 + b"]" * 200, b'{"text":1e999}', b'\xef\xbb\xbf{"text":"bom"}', b'{"text":"' + b"x" * 9_000 + b'"}',
    b"",
    b"\xff\xfe", b'{"text":"a","text":"b"}',
]  # fmt: skip
FORM = (
    b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'
    b'--b\r\nContent-Disposition: form-data; name="f"; filename="../x"\r\nContent-Type: text/plain\r\n\r\nxyz'
    b"\r\n--b--\r\n"
)
METHODS = ["GET"] * 8 + ["POST"] * 12 + ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"]
ODD_METHODS = ["TRACE", "CONNECT", "PRI", "get", "BREW", "M-SEARCH", "G\u00cbT"]
ODD_VERSIONS = ["1.0", "1.0", "1.0", "0.9", "2.0", "1.2"]
ODD_HOSTS = ["Host: 127.0.0.1:80", "Host: evil.example", "Host:", "Host: a b", "X: no host"]


LAST = b"GET /api/hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"  # or it ends at a deadline


def a_request(dice: random.Random) -> bytes:
    """One request, in which little is odd."""

    def odd(chance: float) -> bool:
        return dice.random() < chance

    method = dice.choice(ODD_METHODS if odd(0.03) else METHODS)
    path = dice.choice(POST_PATHS if method == "POST" else GET_PATHS)
    if odd(0.2):
        path = dice.choice([*ODD_PATHS, *GET_PATHS, *POST_PATHS])
    fields = [dice.choice(ODD_HOSTS) if odd(0.05) else "Host: localhost"]
    fields += dice.sample(FIELDS, dice.choice([0, 0, 1, 2, 5]))
    if odd(0.05):
        fields.append(dice.choice(ODD_FIELDS))
    body, kind = b"", "application/json"
    if method not in ("GET", "HEAD") or odd(0.03):
        match dice.randrange(6):
            case 0 | 1 | 2:
                body = dice.choice(JSONS)
            case 3:
                body, kind = FORM, "multipart/form-data; boundary=b"
            case 4:
                body, kind = b"a=b&c=%zz&d", "application/x-www-form-urlencoded"
            case _:
                body = dice.choice([dice.randbytes(dice.choice([1, 100, 70_000])), gzip.compress(b"x" * 1_000)])
        if odd(0.1):
            kind = dice.choice(["text/plain", "x", "application/json; charset=latin1"])
        fields.append(f"Content-Type: {kind}")
    if body and odd(0.35):
        coding = dice.choice(["gzip, chunked", "identity", "Chunked"]) if odd(0.1) else "chunked"
        fields.append(f"Transfer-Encoding: {coding}")
        body = chunked(dice, body)
    elif body or method == "POST":
        fields.append(f"Content-Length: {len(body) + (dice.choice([1, -1, 10_000_000]) if odd(0.1) else 0)}")
    dice.shuffle(fields)
    version = dice.choice(ODD_VERSIONS) if odd(0.08) else "1.1"
    return "\r\n".join([f"{method} {path} HTTP/{version}", *fields, "", ""]).encode() + body


def chunked(dice: random.Random, body: bytes) -> bytes:
    size = dice.choice([1, 3, 1_000, 70_000])
    body = body[: 400 * size]
    extension = dice.choice([b""] * 4 + [b";x=y", b' ; x="y"', b";" + b"z" * 2_000])
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    trailer = dice.choice([b""] * 4 + [b"Host: evil.example\r\n", b"X: " + b"t" * 3_000 + b"\r\n"])
    return b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces) + b"0\r\n" + trailer + b"\r\n"


def a_conversation(seed: int) -> list[bytes]:
    """What one client sends, in pieces."""
    dice = random.Random(seed)
    data = b"".join(a_request(dice) for _ in range(dice.choice([1, 1, 1, 2, 3, 6, 20])))
    for _ in range(dice.choice([0, 0, 1, 1, 2, 6])):
        data = mutate(dice, data)
    if dice.random() < 0.02:
        data = dice.choice(TOKENS) * dice.choice([1, 50, 3_000])
    if dice.random() < 0.6:
        data += LAST
    cuts = sorted(dice.randrange(len(data) + 1) for _ in range(dice.choice([0, 0, 0, 1, 3, 8])))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


_status_line = re.compile(rb"HTTP/1\.1 ([1-5]\d\d) [\x20-\x7e]*")
_field = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")


class Malformed(Exception):
    """What came is not a sequence of HTTP/1.1 responses."""


@dataclass
class Taken:
    """The answers on one connection."""

    statuses: list[int] = field(default_factory=list)
    rest: bytes = b""  # an answer that was begun and not ended
    in_chunks: bool = False  # it came in chunks, so that the client knows


def take_apart(data: bytes, *, heads: bool = False) -> Taken:
    """Every response in *data*, by the letter of RFC 9112; *heads*: answers may be without their bodies (HEAD)."""
    taken = Taken()
    while data:
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            taken.rest = data
            return taken
        first, *lines = head.split(b"\r\n")
        if not (line := _status_line.fullmatch(first)):
            raise Malformed(f"status line {first[:80]!r}")
        status, headers = int(line[1]), {}
        for each in lines:
            if not (pair := _field.fullmatch(each)):
                raise Malformed(f"field {each[:80]!r}")
            name = pair[1].lower()
            if name in headers and name in (b"content-length", b"transfer-encoding", b"content-type", b"date"):
                raise Malformed(f"{name!r} came twice")
            headers[name] = pair[2]
        body, data = _body(status, headers, rest, heads)
        if body is None:
            taken.rest, taken.in_chunks = rest, b"transfer-encoding" in headers
            return taken
        taken.statuses.append(status)
        is_problem = body and headers.get(b"content-type") == b"application/problem+json"
        if is_problem and json.loads(body)["status"] != status:
            raise Malformed("a problem of another status")
    return taken


def _body(status: int, headers: dict[bytes, bytes], rest: bytes, heads: bool) -> tuple[bytes | None, bytes]:
    """The body and what follows it; None where its end is missing."""
    if status < 200 or status in (204, 304):
        return b"", rest
    if heads and (not rest or rest.startswith(b"HTTP/1.1 ")):
        return b"", rest
    if b"transfer-encoding" in headers:
        if headers[b"transfer-encoding"] != b"chunked" or b"content-length" in headers:
            raise Malformed(f"framing {headers}")
        return _chunks(rest)
    if b"content-length" in headers:
        length = int(headers[b"content-length"])
        return (rest[:length], rest[length:]) if len(rest) >= length else (None, rest)
    if headers.get(b"connection") != b"close":
        raise Malformed("an answer without an end")
    return rest, b""


def _chunks(rest: bytes) -> tuple[bytes | None, bytes]:
    body = b""
    while True:
        size, found, rest = rest.partition(b"\r\n")
        if not found:
            return None, b""
        if not re.fullmatch(rb"[0-9a-fA-F]+", size):
            raise Malformed(f"chunk size {size[:40]!r}")
        length = int(size, 16)
        if len(rest) < length + 2:
            return None, b""
        if rest[length : length + 2] != b"\r\n":
            raise Malformed("a chunk longer than it says")
        body, rest = body + rest[:length], rest[length + 2 :]
        if length == 0:
            return body, rest


@dataclass
class Found:
    """What a run has found."""

    conversations: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    server_errors: list[int] = field(default_factory=list)  # these are seeds
    hangs: list[int] = field(default_factory=list)
    malformed: dict[int, str] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)  # in order closed, with an answer begun and not ended
    broken_off: list[int] = field(default_factory=list)  # streams, without their last chunk
    refused: list[int] = field(default_factory=list)  # not even connected

    @property
    def answers(self) -> int:
        return sum(self.statuses.values())

    def __str__(self) -> str:
        return (
            f"{self.answers:,} answers to {self.conversations:,} conversations, {dict(sorted(self.statuses.items()))}; "
            f"5xx other than 501, 505: {len(self.server_errors)}; hangs: {len(self.hangs)}; malformed: "
            f"{len(self.malformed)}; cut: {len(self.cut)}; streams broken off: {len(self.broken_off)}; "
            f"not connected: {len(self.refused)}"
        )


async def run(port: int, count: int, seed: int, at_once: int = 1_000, found: Found | None = None) -> Found:
    """Hold conversations until *count* requests have been answered; what is seen is added to *found*."""
    found = found or Found()
    seeds = iter(range(seed, seed + 4 * count))
    answers, conversations = found.answers + count, found.conversations + 3 * count

    async def caller() -> None:
        while found.answers < answers and found.conversations < conversations:
            number = next(seeds)
            pieces = a_conversation(number)
            found.conversations += 1
            await converse(port, number, pieces, found)

    await asyncio.gather(*(caller() for _ in range(min(at_once, count))))
    return found


async def converse(port: int, seed: int, pieces: list[bytes], found: Found) -> None:
    """Send *pieces*, read to the end, note what came."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    except OSError:
        found.refused.append(seed)
        return
    received, ended = b"", "closed"
    leaves = seed % 10 == 0

    async def send() -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    sending = asyncio.create_task(send())
    try:
        async with asyncio.timeout(HANG_S):
            if leaves:
                await asyncio.wait({sending})
                return
            while data := await reader.read(1 << 16):
                received += data
    except TimeoutError:
        found.hangs.append(seed)
        return
    except ConnectionError:
        ended = "reset"
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        writer.transport.abort()
    heads = b"HEAD" in b"".join(pieces)
    try:
        taken = take_apart(received, heads=heads)
    except Malformed as exc:
        found.malformed[seed] = str(exc)
        return
    found.statuses.update(taken.statuses)
    if any(status >= 500 and status not in (501, 505) for status in taken.statuses):
        found.server_errors.append(seed)
    if taken.rest and ended == "closed":
        (found.broken_off if taken.in_chunks else found.cut).append(seed)


def main() -> None:
    port, count, *seed = map(int, sys.argv[1:])
    found = asyncio.run(run(port, count, *(seed or [20_261_122])))
    print(found)
    for name in ("server_errors", "hangs", "cut", "refused"):
        print(name, getattr(found, name)[:10])
    print("malformed", dict(list(found.malformed.items())[:10]))


if __name__ == "__main__":
    main()
