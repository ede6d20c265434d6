"""Forms: both media types, every limit on both sides, and nothing left open."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_multipart.multipart import MultipartParser

from turnout.errors import BadRequest, HTTPError, PayloadTooLarge, UnsupportedMediaType
from turnout.http.form import FormData, FormLimits, MultipartReader, UploadFile, parse_form
from turnout.http.headers import Headers
from turnout.http.url import URLSearchParams

MULTIPART = "multipart/form-data; boundary=b"
URLENCODED = "application/x-www-form-urlencoded"


async def chunked(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def part(disposition: str = 'form-data; name="a"', data: bytes = b"1", *headers: str) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *headers]
    return b"--b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


def multipart(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--b--\r\n"


def parse(body: bytes, content_type: str = MULTIPART, **limits: int) -> FormData:
    return asyncio.run(parse_form(content_type, chunked(body), FormLimits(**limits)))


def plain(form: FormData) -> list[Any]:
    pairs: list[Any] = []
    for name, value in form:
        pairs.append((name, (value.filename, value.file.read()) if isinstance(value, UploadFile) else value))
    form.close()
    return pairs


# --- reading


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (b"a=1&b=x+y&a=%C3%A9", [("a", "1"), ("b", "x y"), ("a", "é")]),
        (b"", []),
        (b"&&a", [("a", "")]),
        ("ü=ö".encode(), [("ü", "ö")]),
        (b"a=\xc3%A9&b=\xff", [("a", "é"), ("b", "�")]),
    ],
)
def test_an_urlencoded_form_is_read(body: bytes, pairs: list[tuple[str, str]]) -> None:
    assert list(parse(body, URLENCODED + "; charset=UTF-8")) == pairs


def test_a_multipart_form_is_read() -> None:
    body = multipart(
        part('form-data; name="title"', "Grüße".encode()),
        part('form-data; name="pic"; filename="a.png"', b"\x89PNG\r\n", "Content-Type: image/png", "X-Odd: 1"),
        part("form-data; name=title", b""),
        part('form-data; name="none"; filename=""', b"", "content-type: application/octet-stream"),
    )
    form = parse(body)

    assert list(form.keys()) == ["title", "pic", "title", "none"]
    assert form.get_all("title") == ["Grüße", ""]
    picture = form.get("pic")
    assert isinstance(picture, UploadFile)
    assert (picture.filename, picture.content_type, picture.size) == ("a.png", "image/png", 6)
    assert picture.headers.get("X-Odd") == "1"
    assert plain(form)[3] == ("none", ("", b""))


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('form-data; name="a"; filename="b"', "a", "b"),
        ("FORM-DATA;NAME=a;FileName=b", "a", "b"),
        ('form-data ; name = "a" ; filename="b";', "a", "b"),
        (r'form-data; name="a\"b\\c"; filename="d"', 'a"b\\c', "d"),
        ('form-data; name="a%22b%0D%0Ac%41"; filename="%22"', 'a"b\r\nc%41', '"'),
        (r'form-data; name="a"; filename="C:\dir\b.txt"', "a", "C:\\dir\\b.txt"),
        (r'form-data; name="a"; filename="b\"', "a", "b\\"),
        (r'form-data; name="a\"; filename="b"', "a\\", "b"),
        ('form-data; name="a;b=c"; filename="../../etc/passwd"', "a;b=c", "../../etc/passwd"),
        ('form-data; filename*=UTF-8\'\'x; name="a"; filename="これ"', "a", "これ"),
        ('form-data; name=""; filename="b"', "", "b"),
    ],
)
def test_names_are_read_as_clients_write_them(disposition: str, name: str, filename: str) -> None:
    assert plain(parse(multipart(part(disposition)))) == [(name, (filename, b"1"))]


@pytest.mark.parametrize(
    "disposition",
    [
        "form-data",
        'form-data; filename="b"',
        "form-data; filename*=UTF-8''b",
        'attachment; name="a"',
        'form-datax; name="a"',
        'form-data; name="a',
        'form-data; name="a"x',
        'form-data; name="a"; name="b"',
        'form-data; name="a"; filename="b"; FILENAME="c"',
        'form-data; name="a", form-data; name="b"',
        'form-data; name="a\x00"',
        'form-data; name="a\nX-Injected: 1"',
        'form-data; name="a"\n',
        "",
    ],
)
def test_a_part_without_one_clear_name_is_a_400(disposition: str) -> None:
    with pytest.raises(BadRequest, match="Invalid form"):
        parse(multipart(part(disposition)))


@pytest.mark.parametrize("control", [chr(b) for b in (*range(9), *range(10, 32), 127)], ids=ascii)
def test_no_control_character_gets_through_a_header_of_a_part(control: str) -> None:
    for disposition in (f'form-data; name="a{control}b"', f'form-data; name="a"; filename="x{control}"'):
        with pytest.raises(BadRequest):
            parse(multipart(part(disposition)))


def test_a_line_break_in_a_name_makes_no_header() -> None:
    with pytest.raises(BadRequest):
        parse(multipart(part('form-data; name="a\r\nContent-Type: text/html\r\n"')))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n",
        part(),
        multipart(part())[:-6],
        b"--x\r\n" + multipart(part()),
        b"preamble\r\n" + multipart(part()),
        b"\r\npreamble\r\n" + multipart(part()),
        b"--b\r\n\r\n1\r\n--b--",
        multipart(part()).replace(b"\r\n", b"\n"),
        multipart(part('form-data; name="a"', b"1", "Content-Disposition: form-data; name=b")),
        multipart(part('form-data; name="a"', b"1", "Bad Name: 1")),
        multipart(part('form-data; name="a"', b"1", "Content-Transfer-Encoding: gzip")),
    ],
)
def test_a_broken_body_is_a_400_however_it_is_cut(body: bytes) -> None:
    for pieces in ([body], [body[i : i + 1] for i in range(len(body))]):
        with pytest.raises(BadRequest) as caught:
            asyncio.run(parse_form(MULTIPART, chunked(*pieces)))
        assert caught.value.code == "invalid_form"


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=", 'multipart/form-data; boundary=""']
)
def test_without_a_boundary_it_is_refused(content_type: str) -> None:
    with pytest.raises(BadRequest if "=" not in content_type or '"' in content_type else UnsupportedMediaType):
        parse(multipart(part()), content_type)


@pytest.mark.parametrize(
    "content_type", [None, "", "application/json", "text/plain", "multipart/mixed; boundary=b", "x, y"]
)
def test_another_media_type_is_a_415_that_names_what_works(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType, match="multipart/form-data or application/x-www-form-urlencoded"):
        asyncio.run(parse_form(content_type, chunked(b"a=1")))


@pytest.mark.parametrize(
    ("coding", "data", "value"),
    [
        ("base64", b"VGVz\r\ndCAx MjM=", "Test 123"),
        ("BASE64", b"", ""),
        ("quoted-printable", b"a=3Db =\r\nc=C3=A9\r\nd\r\ne=", "a=b c\u00e9\r\nd\r\ne"),
        ("7bit", b"a=3D", "a=3D"),
        ("binary", b"QQ==", "QQ=="),
    ],
)
def test_an_old_transfer_coding_is_undone_however_it_is_cut(coding: str, data: bytes, value: str) -> None:
    body = multipart(part('form-data; name="a"', data, f"Content-Transfer-Encoding: {coding}"))
    for size in (len(body), 1, 2, 3, 5, 7):
        reader = MultipartReader("b", FormLimits())
        for i in range(0, len(body), size):
            reader.feed(body[i : i + size])
        assert list(reader.finish()) == [("a", value)]


@pytest.mark.parametrize("data", [b"Q", b"QQ=", b"QQ==QQ==", b"====", b"Q!==", b"QQ==Q"])
def test_broken_base64_is_a_400_however_it_is_cut(data: bytes) -> None:
    body = multipart(part('form-data; name="a"', data, "Content-Transfer-Encoding: base64"))
    for size in (len(body), 1, 4):
        reader = MultipartReader("b", FormLimits())
        with pytest.raises(BadRequest):
            for i in range(0, len(body), size):
                reader.feed(body[i : i + size])
            reader.finish()


def test_an_endless_quoted_printable_line_is_a_400() -> None:
    with pytest.raises(BadRequest, match="quoted-printable"):
        parse(multipart(part('form-data; name="a"', b"x" * 9000, "Content-Transfer-Encoding: quoted-printable")))


# --- limits, on both sides


def file_part(size: int) -> bytes:
    return part('form-data; name="f"; filename="f"', b"x" * size)


LIMITS: dict[str, tuple[Callable[[int], tuple[bytes, str]], int]] = {
    "max_parts": (lambda n: (multipart(*[file_part(1)] * n), MULTIPART), 20),
    "max_fields": (lambda n: (multipart(*[part()] * n, file_part(1)), MULTIPART), 20),
    "max_file_bytes": (lambda n: (multipart(file_part(3), file_part(n)), MULTIPART), 100_000),
    # The two headers of the parts count too: 2 x (19 + 19) bytes.
    "max_form_bytes": (lambda n: (multipart(part(data=b"x" * 100), part(data=b"x" * (n - 176))), MULTIPART), 1_000),
    "header_count": (lambda n: (multipart(part('form-data; name="a"', b"", *["X: y"] * (n - 1))), MULTIPART), 16),
    "header_bytes": (lambda n: (multipart(part('form-data; name="a"', b"", "X: " + "y" * (n - 3))), MULTIPART), 300),
    "max_boundary": (lambda n: (f"--{'b' * n}--".encode(), f"multipart/form-data; boundary={'b' * n}"), 256),
}


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize(("over", "refused"), [(-1, False), (0, False), (1, True)])
@pytest.mark.parametrize("size", [1, 50, 1_000_000])
def test_a_multipart_form_may_be_as_large_as_its_limit(name: str, over: int, refused: bool, size: int) -> None:
    make, limit = LIMITS[name]
    body, content_type = make(limit + over)
    if size == 1 and len(body) > 10_000:
        size = 997
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    form = parse_form(content_type, chunked(*pieces), FormLimits(**{name: limit}))
    if refused:
        with pytest.raises(PayloadTooLarge) as caught:
            asyncio.run(form)
        assert re.search(r"\d", str(caught.value.detail))
    else:
        asyncio.run(form).close()


@pytest.mark.parametrize(("over", "refused"), [(-1, False), (0, False), (1, True)])
def test_an_urlencoded_form_may_be_as_large_as_its_limits(over: int, refused: bool) -> None:
    for body, limits in (
        ("&".join(["a"] * (20 + over)).encode(), {"max_fields": 20}),
        (b"x" * (100 + over), {"max_form_bytes": 100}),
    ):
        if refused:
            with pytest.raises(PayloadTooLarge):
                parse(body, URLENCODED, **limits)
        else:
            parse(body, URLENCODED, **limits)


def test_the_defaults_are_those_of_the_security_page() -> None:
    assert FormLimits() == FormLimits(1000, 1000, 10_000_000, 2_000_000, 16, 8192, 256, 1_000_000)


def test_a_header_that_never_ends_is_refused_before_it_is_whole() -> None:
    reader = MultipartReader("b", FormLimits())
    with pytest.raises(PayloadTooLarge):
        for piece in [b"--b\r\nX: "] + [b"y" * 1000] * 10:
            reader.feed(piece)


def test_part_headers_share_the_budget_of_the_form() -> None:
    body = multipart(*[part('form-data; name="f"; filename="f"', b"", "X: " + "y" * 8000)] * 300)
    with pytest.raises(PayloadTooLarge, match="2000000 bytes besides its files"):
        parse(body)


# --- work


@pytest.mark.parametrize("size", [1, 7, 100])
def test_tiny_chunks_are_put_together(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    write = MultipartParser.write
    monkeypatch.setattr(MultipartParser, "write", lambda self, data: calls.append(len(data)) or write(self, data))
    body = multipart(file_part(200_000))
    form = asyncio.run(parse_form(MULTIPART, chunked(*[body[i : i + size] for i in range(0, len(body), size)])))
    form.close()
    assert sum(calls) == len(body)
    assert len(calls) <= len(body) // 4096 + 1


SHAPES: dict[str, Callable[[int], bytes]] = {
    "line ends": lambda n: multipart(part('form-data; name="a"; filename="f"', b"\r\n" * n)),
    "almost boundaries": lambda n: multipart(part('form-data; name="a"; filename="f"', b"\r\n--" * n)),
    "boundaries that go on": lambda n: multipart(part('form-data; name="a"; filename="f"', b"\r\n--bx" * n)),
    "parts": lambda n: multipart(*[part(data=b"")] * n),
    "headers": lambda n: multipart(*[part('form-data; name="a"', b"", *["X: y"] * 10)] * (n // 10)),
    "escapes in a name": lambda n: multipart(part('form-data; name="' + '\\"' * n + '"', b"")),
    "open quotes": lambda n: multipart(part('form-data; name="' + '"; "' * n, b"")),
    "blanks in a header": lambda n: multipart(part("form-data;" + " " * n + "name=a", b"")),
    "semicolons": lambda n: multipart(part("form-data;" + ";" * n + "name=a", b"")),
    "base64": lambda n: multipart(part('form-data; name="a"', b"QUJD\r\n" * n, "Content-Transfer-Encoding: base64")),
    "fields": lambda n: b"&".join([b"a=%41"] * n),
    "percents": lambda n: b"a=" + b"%" * n,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_twice_the_body_is_twice_the_work(shape: str) -> None:
    def steps(n: int) -> int:
        """The Python calls and lines that a body of *n* units takes."""
        body = SHAPES[shape](n)
        content_type = URLENCODED if body.startswith(b"a") else MULTIPART
        limits = FormLimits(10**6, 10**6, 10**8, 10**8, 100, 10**6, 256, 10**8)
        count = 0

        def tracer(frame: Any, event: str, arg: Any) -> Any:
            nonlocal count
            count += 1
            return tracer

        gc.collect()
        gc.disable()  # what it would run in between is Python too
        sys.settrace(tracer)
        try:
            asyncio.run(
                parse_form(content_type, chunked(*[body[i : i + 512] for i in range(0, len(body), 512)]), limits)
            ).close()
        except HTTPError:
            pass
        finally:
            sys.settrace(None)
            gc.enable()
        return count

    steps(10)  # imports
    base, once, twice = steps(10), steps(400), steps(800)
    assert twice - base <= 2.6 * (once - base) + 200


# --- files


def test_a_large_file_goes_to_disk_and_a_small_one_does_not() -> None:
    form = parse(multipart(file_part(1000), file_part(1001)), spool_bytes=1000)
    small, large = [value for _, value in form if isinstance(value, UploadFile)]
    assert (small.file._rolled, large.file._rolled) == (False, True)  # type: ignore[attr-defined]
    assert asyncio.run(small.read()) == b"x" * 1000
    assert asyncio.run(large.read(3)) == b"xxx"
    assert len(asyncio.run(large.read())) == 998
    asyncio.run(large.seek(0))
    assert len(asyncio.run(large.read())) == 1001
    form.close()
    form.close()
    with pytest.raises(ValueError, match="closed"):
        asyncio.run(small.read())


def test_a_file_can_be_saved_but_not_over_another(tmp_path: Path) -> None:
    upload = UploadFile("../evil", headers=Headers({"content-type": "text/html"}))
    upload._append(b"content")
    asyncio.run(upload.save(tmp_path / "safe"))
    assert (tmp_path / "safe").read_bytes() == b"content"
    with pytest.raises(FileExistsError):
        asyncio.run(upload.save(tmp_path / "safe"))
    asyncio.run(upload.close())
    assert repr(upload) == "UploadFile('../evil', 7 bytes)"


def opened(monkeypatch: pytest.MonkeyPatch) -> list[UploadFile]:
    uploads: list[UploadFile] = []
    init = UploadFile.__init__

    def remembering(self: UploadFile, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        uploads.append(self)

    monkeypatch.setattr(UploadFile, "__init__", remembering)
    return uploads


@pytest.mark.parametrize(
    "body",
    [
        part('form-data; name="f"; filename="f"', b"x" * 10) + part('form-data; name="f"; filename="f"', b"x" * 10),
        multipart(file_part(5), file_part(101)),
        multipart(file_part(5), part("nonsense")),
        file_part(50) + file_part(50)[:-20],
    ],
)
def test_when_parsing_fails_every_file_is_closed(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = opened(monkeypatch)
    with pytest.raises(HTTPError):
        parse(body, max_file_bytes=100, spool_bytes=2)
    assert len(uploads) == 2 or b"nonsense" in body
    assert all(upload.file.closed for upload in uploads)


async def test_when_the_client_leaves_every_file_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads, waiting = opened(monkeypatch), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield file_part(5000) + file_part(5000)[:-100]
        waiting.set()
        await asyncio.sleep(60)

    task = asyncio.create_task(parse_form(MULTIPART, endless(), FormLimits(spool_bytes=10)))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [upload.file.closed for upload in uploads] == [True, True]
    gc.collect()  # a file left open would be a ResourceWarning, hence an error


def test_python_multipart_missing_is_a_config_error_and_urlencoded_works_without() -> None:
    code = (
        "import sys, asyncio; sys.modules['python_multipart'] = None\n"
        "from turnout.http.form import parse_form; from turnout.errors import ConfigError\n"
        "async def body():\n    yield b'a=1'\n"
        "assert list(asyncio.run(parse_form('application/x-www-form-urlencoded', body()))) == [('a', '1')]\n"
        "try: asyncio.run(parse_form('multipart/form-data; boundary=b', body()))\n"
        "except ConfigError as exc: assert 'turnout[forms]' in str(exc)\n"
        "else: raise SystemExit(1)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_malformed_body_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    for body in (b"--x", b"--x\r\n:\r\n"):
        with pytest.raises(BadRequest) as caught:
            parse(body)
        assert caught.value.__cause__ is None  # the app would log it
    assert not caplog.records


# --- FormData, and round trips


def test_form_data_is_an_ordered_multimap() -> None:
    form = FormData([("a", "1"), ("b", "2")])
    form.append("a", "3")
    form.set("b", "4")
    form.set("c", "5")
    assert list(form) == [("a", "1"), ("b", "4"), ("a", "3"), ("c", "5")]
    assert (form.get("a"), form.get_all("a"), form.has("b"), "x" in form, len(form)) == (
        "1",
        ["1", "3"],
        True,
        False,
        4,
    )
    form.delete("a")
    assert list(form.items()) == [("b", "4"), ("c", "5")]
    assert repr(form) == "FormData(b, c)"
    assert (form.get("none"), form.get("none", "x")) == (None, "x")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=10))
@settings(deadline=None)
def test_urlencoded_forms_survive_a_round_trip(pairs: list[tuple[str, str]]) -> None:
    assert list(parse(str(URLSearchParams(pairs)).encode(), URLENCODED)) == pairs


NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20).filter(
    lambda name: not re.search("%(22|0[ad])", name, re.I)
)


def quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', "%22")


@given(
    st.lists(
        st.tuples(NAME, st.none() | NAME, st.binary(max_size=200) | st.text("\r\n-b").map(str.encode)), max_size=5
    ),
    st.lists(st.integers(0, 2000), max_size=10),
)
@settings(deadline=None)
def test_multipart_forms_survive_a_round_trip_however_they_are_cut(
    fields: list[tuple[str, str | None, bytes]], places: list[int]
) -> None:
    parts, expected = [], []
    for name, filename, data in fields:
        if b"--=_x" in data:
            continue
        disposition = f'form-data; name="{quoted(name)}"'
        if filename is not None:
            disposition += f'; filename="{quoted(filename)}"'
        parts.append(f"--=_x\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + data + b"\r\n")
        expected.append((name, (filename, data) if filename is not None else data.decode(errors="replace")))
    body = b"".join(parts) + b"--=_x--\r\n"
    reader = MultipartReader("=_x", FormLimits())
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    for start, end in pairwise(edges):
        reader.feed(body[start:end])
    assert plain(reader.finish()) == expected


PIECES = st.sampled_from(
    [
        b"\r\n",
        b"\r",
        b"\n",
        b"--",
        b"-",
        b"b",
        b"--b",
        b"--b--",
        b"\r\n--b",
        b"\r\n--b\r\n",
        b" ",
        b"x",
        b":",
        b'Content-Disposition: form-data; name="a"\r\n',
        b"\r\n\r\n",
    ]
)


@given(st.lists(PIECES, max_size=25), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=300)
def test_what_a_hostile_body_gives_does_not_depend_on_how_it_is_cut(pieces: list[bytes], chance: Any) -> None:
    body = b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" * chance.randint(0, 1) + b"".join(pieces)

    def outcome(sizes: Callable[[], int]) -> object:
        reader = MultipartReader("b", FormLimits())
        start = 0
        try:
            while start < len(body):
                size = sizes()
                reader.feed(body[start : start + size])
                start += size
            return plain(reader.finish())
        except BadRequest:
            reader.close()
            return "refused"

    whole = outcome(lambda: len(body))
    assert outcome(lambda: 1) == whole
    assert outcome(lambda: chance.randint(1, 9)) == whole
