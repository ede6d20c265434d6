from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from turnout import NotFound, Request, Response
from turnout.http import guard
from turnout.http.file import parse_range, prepare


async def get(path: Path, method: str = "GET", **options: Any) -> tuple[int, dict[str, str], bytes]:
    headers = options.pop("headers", {})
    response = await prepare(Request(method, "/f", headers=headers), Response.file(path, **options))
    body = b""
    if response.chunks is not None:
        body = b"".join([piece async for piece in response.chunks])
        assert response.content_length == len(body)
    return response.status, dict(guard.fields(response)), body


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "letters.txt"
    path.write_bytes(bytes(range(65, 91)))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


async def test_a_file_has_its_type_and_validators(file: Path) -> None:
    status, headers, body = await get(file)
    assert (status, body) == (200, file.read_bytes())
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert headers["accept-ranges"] == "bytes"
    assert headers["etag"].startswith('"')


async def test_a_download_has_a_name_that_cannot_break_out(file: Path) -> None:
    _, headers, _ = await get(file, filename='naïve"\r\n.txt')
    assert headers["content-disposition"] == (
        "attachment; filename=\"na_ve___.txt\"; filename*=UTF-8''na%C3%AFve%22%0D%0A.txt"
    )


async def test_a_file_that_is_missing_or_a_folder_is_404(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(NotFound):
            await get(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-none-match", "{etag}"),
        ("if-none-match", 'W/{etag}, "x"'),
        ("if-none-match", "*"),
        ("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
    ],
)
async def test_a_client_with_a_good_copy_gets_304(file: Path, name: str, value: str) -> None:
    _, headers, _ = await get(file)
    status, fields, body = await get(file, headers={name: value.format(etag=headers["etag"])})
    assert (status, body) == (304, b"")
    assert fields["etag"] == headers["etag"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("if-none-match", '"x"'),
        ("if-modified-since", "Tue, 14 Nov 2023 22:13:19 GMT"),
        ("if-modified-since", "nonsense"),
        ("if-modified-since", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"),
    ],
)
async def test_a_client_with_another_copy_gets_the_file(file: Path, name: str, value: str) -> None:
    assert (await get(file, headers={name: value}))[0] == 200


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("bytes=0-4", (0, 5)),
        ("bytes=5-", (5, 26)),
        ("bytes=-3", (23, 26)),
        ("bytes=-100", (0, 26)),
        ("bytes=0-100", (0, 26)),
        ("bytes=26-", ()),
        ("bytes=-0", ()),
        ("bytes=4-2", None),
        ("bytes=a-b", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("items=0-1", None),
        ("bytes=0-1,3-4", None),
        ("bytes=" + "0" * 50 + "-1", None),
    ],
)
def test_a_range_is_read_as_rfc_9110_says(text: str, span: tuple[int, ...] | None) -> None:
    assert parse_range(text, 26) == span


async def test_a_range_is_answered_with_206_or_416(file: Path) -> None:
    status, headers, body = await get(file, headers={"range": "bytes=1-3"})
    assert (status, headers["content-range"], body) == (206, "bytes 1-3/26", b"BCD")
    status, headers, body = await get(file, headers={"range": "bytes=99-"})
    assert (status, headers["content-range"], body) == (416, "bytes */26", b"")


async def test_a_range_of_another_version_gets_the_whole_file(file: Path) -> None:
    _, headers, _ = await get(file)
    assert (await get(file, headers={"range": "bytes=1-3", "if-range": '"old"'}))[0] == 200
    assert (await get(file, headers={"range": "bytes=1-3", "if-range": headers["etag"]}))[0] == 206


@pytest.mark.parametrize("count", [2, 100, 5_000])
async def test_many_ranges_get_the_whole_file(file: Path, count: int) -> None:
    wanted = "bytes=" + ",".join(f"{at}-{at}" for at in range(count))
    assert await get(file, headers={"range": wanted}) == await get(file)


async def test_a_file_that_shrinks_while_it_is_sent_ends_early(file: Path) -> None:
    response = await prepare(Request("GET", "/f"), Response.file(file))
    file.write_bytes(b"A")
    assert response.chunks is not None
    assert len(b"".join([piece async for piece in response.chunks])) < (response.content_length or 0)


async def test_versions_of_a_file_without_a_date_are_told_apart_by_what_is_in_them(file: Path) -> None:
    """As out of a zip whose every entry is of 1980, so that two builds are the same."""
    epoch = (315_532_800, 315_532_800)
    os.utime(file, epoch)
    _, first, _ = await get(file)
    assert "last-modified" not in first
    assert (await get(file, headers={"if-none-match": first["etag"]}))[0] == 304
    assert (await get(file, headers={"if-modified-since": "Tue, 14 Nov 2023 22:13:20 GMT"}))[0] == 200

    other = file.with_name("other.txt")  # another version, of the same length and date
    other.write_bytes(file.read_bytes()[::-1])
    os.utime(other, epoch)

    assert (await get(other))[1]["etag"] != first["etag"]
