"""Forms: urlencoded and multipart bodies into FormData, with one budget for the whole body.

Follows the FormData of the XMLHttpRequest standard in snake_case, RFC 7578 (multipart/form-data) and the URL
standard (urlencoded). Multipart is split by ``python-multipart`` (extra ``[forms]``). A part's base64 or
quoted-printable coding is undone, though RFC 7578 has given both up. An upload's file name is data only:
nothing here makes a path of it. How large a whole body may be is decided in ``body.py``.
"""

from __future__ import annotations

import binascii
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import IO, Any, Protocol

from msgspec import Struct

from ..errors import BadRequest, ConfigError, PayloadTooLarge, UnsupportedMediaType
from .aside import aside
from .headers import Headers
from .media import parse_media_type
from .url import Multimap, parse_fields

# Smaller chunks are put together first: the parser costs about as much for one byte as for a kilobyte.
_FEED_BYTES = 4096
_MAX_QUOTED_PRINTABLE_LINE_BYTES = 8192  # RFC 2045 §6.7 allows 76

_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# Clients disagree on quotes in names: curl writes \" and \\, browsers write %22 and leave a backslash as it is.
_parameter_escaped = re.compile(
    rf'[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s";]+))', re.DOTALL
).match
_parameter_plain = re.compile(rf'[ \t]*;[ \t]*({_TOKEN})[ \t]*=[ \t]*(?:"([^"]*)"|([^\s";]+))').match
_form_data = re.compile(r"form-data(?=[ \t;]|$)", re.IGNORECASE).match
_is_end = re.compile(r"[ \t]*(?:;[ \t]*)?").fullmatch  # not "[ \t]*;?[ \t]*", which is quadratic in blanks
_backslash = re.compile(r'\\(["\\])').sub
_escape = re.compile(r"%(22|0[AaDd])").sub
_not_ascii = re.compile(rb"[\x80-\xff]").sub

# The parser logs a warning for each malformed body; a client's mistake is no news to the operator.
_silent = logging.Logger("turnout.form", level=logging.CRITICAL + 1)


class FormLimits(Struct, frozen=True):
    """What one form may hold; over any of these it is refused with 413.

    Args:
        max_fields: Values that are not files.
        max_parts: Parts of a multipart body, files included.
        max_file_bytes: One file.
        max_form_bytes: Everything that is not a file's content, over all parts, part headers included.
        header_count: Headers of one part.
        header_bytes: One header line of a part.
        max_boundary: Length of the multipart boundary, in bytes.
        spool_bytes: A larger file waits on disk, not in memory.
    """

    max_fields: int = 1000
    max_parts: int = 1000
    max_file_bytes: int = 10_000_000
    max_form_bytes: int = 2_000_000
    header_count: int = 16
    header_bytes: int = 8192
    max_boundary: int = 256
    spool_bytes: int = 1_000_000


class UploadFile:
    """A file of a form, in memory or, past a limit, in a temporary file without a name.

    ``filename`` is what the client says: show it, store it in a column, but never open a path made of it.
    ``headers`` are the part's, ``content_type`` is unproven, and ``size`` is in bytes.
    """

    def __init__(self, filename: str, *, headers: Headers | None = None, spool_bytes: int = 1_000_000) -> None:
        # Not at the top: with what it imports it takes as long as the rest of this package.
        from tempfile import SpooledTemporaryFile

        self.filename = filename
        self.headers = headers if headers is not None else Headers()
        self.size = 0
        self.file: IO[bytes] = SpooledTemporaryFile(max_size=spool_bytes)  # noqa: SIM115  # closed by FormData.close
        self._spool_bytes = spool_bytes

    @property
    def content_type(self) -> str:
        """The part's ``Content-Type``, or ``text/plain``, the default of RFC 7578 §4.4."""
        return self.headers.get("content-type") or "text/plain"

    async def read(self, size: int = -1) -> bytes:
        """Read up to *size* bytes, or all that is left; in a thread if the file is on disk."""
        if self.size > self._spool_bytes:
            return await aside(self.file.read, size)
        return self.file.read(size)

    async def seek(self, offset: int) -> None:
        """Go to *offset* bytes from the start."""
        self.file.seek(offset)

    async def save(self, path: str | Path) -> None:
        """Write the whole file to *path*, which must not exist yet.

        Raises:
            FileExistsError: it does.
        """
        await aside(self._copy_to, Path(path))

    async def close(self) -> None:
        """Let go of the content; no error the second time."""
        self.file.close()

    def __repr__(self) -> str:
        return f"UploadFile({self.filename!r}, {self.size} bytes)"

    def _append(self, data: bytes) -> None:
        self.file.write(data)
        self.size += len(data)

    def _copy_to(self, path: Path) -> None:
        from shutil import copyfileobj

        self.file.seek(0)
        with path.open("xb") as target:
            copyfileobj(self.file, target)


class FormData(Multimap[str | UploadFile]):
    """The fields and files of a form, in order; a name may have several values."""

    __slots__ = ()

    def __init__(self, init: Iterable[tuple[str, str | UploadFile]] = ()) -> None:
        super().__init__()
        self._pairs = list(init)

    def set(self, name: str, value: str | UploadFile) -> None:
        """Put *value* in the place of the first pair of that name, and drop the others."""
        self._put(name, value)

    def append(self, name: str, value: str | UploadFile) -> None:
        """Add a pair at the end."""
        self._pairs.append((name, value))

    def delete(self, name: str) -> None:
        """Drop every pair of that name."""
        self._drop(name)

    def close(self) -> None:
        """Close the files; no error the second time."""
        for _, value in self._pairs:
            if isinstance(value, UploadFile):
                value.file.close()

    def __repr__(self) -> str:
        # Values may be passwords, so only the names are shown.
        return f"FormData({', '.join(dict.fromkeys(self.keys()))})"


async def parse_form(
    content_type: str | None, chunks: AsyncIterator[bytes], limits: FormLimits | None = None
) -> FormData:
    """Read a form; the caller closes it.

    Raises:
        BadRequest: malformed, or cut short.
        PayloadTooLarge: over one of *limits*.
        UnsupportedMediaType: neither of the two media types.
        ConfigError: multipart, and ``python-multipart`` is not installed.
    """
    limits = limits or FormLimits()
    media = parse_media_type(content_type)
    if media is not None and media.essence == "application/x-www-form-urlencoded":
        return await _parse_urlencoded(chunks, limits)
    if media is not None and media.essence == "multipart/form-data":
        return await _parse_multipart(media.params.get("boundary", ""), chunks, limits)
    raise UnsupportedMediaType(
        "Send the form as multipart/form-data or application/x-www-form-urlencoded", code="unsupported_media_type"
    )


async def _parse_urlencoded(chunks: AsyncIterator[bytes], limits: FormLimits) -> FormData:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limits.max_form_bytes:
            raise _form_too_large(limits)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        # So that a raw byte and a %XX beside it are decoded together, as the standard has it.
        text = _not_ascii(lambda match: b"%%%02X" % match[0][0], body).decode()
    return FormData(parse_fields(text, limits.max_fields, PayloadTooLarge))


async def _parse_multipart(boundary: str, chunks: AsyncIterator[bytes], limits: FormLimits) -> FormData:
    reader = MultipartReader(boundary, limits)
    try:
        waiting = bytearray()
        async for chunk in chunks:
            if not waiting and len(chunk) >= _FEED_BYTES:
                reader.feed(chunk)
                continue
            waiting += chunk
            if len(waiting) >= _FEED_BYTES:
                reader.feed(bytes(waiting))
                waiting.clear()
        reader.feed(bytes(waiting))
        return reader.finish()
    except BaseException:  # cancelling too must leave no file behind
        reader.close()
        raise


class MultipartReader:
    """Turns the pieces of one multipart body into FormData, however they are cut.

    Raises:
        BadRequest: the boundary is missing or not ASCII.
        PayloadTooLarge: it is too long.
    """

    def __init__(self, boundary: str, limits: FormLimits) -> None:
        try:
            from python_multipart.exceptions import FormParserError
            from python_multipart.multipart import MultipartParser
        except ImportError:
            raise ConfigError("multipart forms need python-multipart", cure='pip install "turnout[forms]"') from None
        if not boundary or not boundary.isascii():
            raise _malformed("the Content-Type has no valid boundary")
        if len(boundary) > limits.max_boundary:
            raise PayloadTooLarge(f"The multipart boundary is over {limits.max_boundary} bytes")
        self._limits = limits
        self._form = FormData()
        self._error: type[Exception] = FormParserError
        self._started = self._ended = False
        self._parts = self._fields = self._form_bytes = 0
        self._header_name, self._header_value = bytearray(), bytearray()
        self._headers: list[tuple[bytes, bytes]] = []
        self._name = ""  # of the part under way, and what there is of it
        self._text = bytearray()
        self._upload: UploadFile | None = None
        self._coding: _Coding | None = None
        self._parser: Any = MultipartParser(
            boundary.encode(),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=limits.header_count,
            max_header_size=limits.header_bytes,
        )
        self._parser.logger = _silent

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        if not self._started:
            # The parser also skips a preamble, but only one that comes in the same piece as the boundary.
            data = data.lstrip(b"\r\n")
            self._started = bool(data)
        try:
            self._parser.write(data)
        except self._error as exc:
            if str(exc).startswith("Maximum header"):
                limits = self._limits
                raise PayloadTooLarge(
                    f"A part has over {limits.header_count} headers, or one over {limits.header_bytes} bytes"
                ) from None
            # From None: with a cause it would be logged, and what clients send is no news.
            raise _malformed("the multipart body breaks the format") from None

    def finish(self) -> FormData:
        """The form, once every piece is in."""
        if not self._ended:
            raise _malformed("the multipart body ends before its closing boundary")
        return self._form

    def close(self) -> None:
        """Close what has been opened so far."""
        self._form.close()
        if self._upload is not None:
            self._upload.file.close()

    def _on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._limits.max_parts:
            raise PayloadTooLarge(f"The form has over {self._limits.max_parts} parts")
        self._headers = []

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]
        self._spend(end - start)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]
        self._spend(end - start)

    def _on_header_end(self) -> None:
        self._headers.append((bytes(self._header_name), bytes(self._header_value)))
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        headers = _checked_headers(self._headers)
        self._name, filename = _read_disposition(headers.get_all("content-disposition"))
        self._coding = _coding_of(headers.get("content-transfer-encoding") or "")
        if filename is not None:
            self._upload = UploadFile(filename, headers=headers, spool_bytes=self._limits.spool_bytes)
            return
        self._text.clear()
        self._fields += 1
        if self._fields > self._limits.max_fields:
            raise PayloadTooLarge(f"The form has over {self._limits.max_fields} fields")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        self._store(piece if self._coding is None else self._coding.feed(piece))

    def _on_part_end(self) -> None:
        if self._coding is not None:
            self._store(self._coding.finish())
        upload, self._upload = self._upload, None
        if upload is None:
            self._form.append(self._name, self._text.decode(errors="replace"))
        else:
            upload.file.seek(0)
            self._form.append(self._name, upload)

    def _on_end(self) -> None:
        self._ended = True

    def _store(self, data: bytes) -> None:
        upload = self._upload
        if upload is None:
            self._spend(len(data))
            self._text += data
        elif upload.size + len(data) > self._limits.max_file_bytes:
            raise PayloadTooLarge(f"A file of the form is over {self._limits.max_file_bytes} bytes")
        else:
            upload._append(data)

    def _spend(self, size: int) -> None:
        self._form_bytes += size
        if self._form_bytes > self._limits.max_form_bytes:
            raise _form_too_large(self._limits)


class _Coding(Protocol):
    """Undoes a Content-Transfer-Encoding, however the text is cut."""

    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Base64:
    def __init__(self) -> None:
        self._rest = b""
        self._ended = False

    def feed(self, data: bytes) -> bytes:
        data = self._rest + data.translate(None, b" \t\r\n")
        whole = len(data) - len(data) % 4
        self._rest = data[whole:]
        if not whole:
            return b""
        # After the padding nothing may follow; else what is accepted would depend on how the text is cut.
        if self._ended:
            raise _malformed("a part is not base64")
        self._ended = data[whole - 1 : whole] == b"="
        try:
            return binascii.a2b_base64(data[:whole], strict_mode=True)
        except binascii.Error:
            raise _malformed("a part is not base64") from None

    def finish(self) -> bytes:
        if self._rest:
            raise _malformed("a part is not base64")
        return b""


class _QuotedPrintable:
    def __init__(self) -> None:
        self._line = bytearray()

    def feed(self, data: bytes) -> bytes:
        # Only whole lines: what "=" means depends on what comes after it.
        self._line += data
        end = self._line.rfind(b"\n") + 1
        whole = bytes(self._line[:end])
        del self._line[:end]
        if len(self._line) > _MAX_QUOTED_PRINTABLE_LINE_BYTES:
            raise _malformed(f"a quoted-printable line is over {_MAX_QUOTED_PRINTABLE_LINE_BYTES} bytes")
        return binascii.a2b_qp(whole)

    def finish(self) -> bytes:
        return binascii.a2b_qp(bytes(self._line))


def _coding_of(value: str) -> _Coding | None:
    match value.strip().lower():
        case "" | "7bit" | "8bit" | "binary":
            return None
        case "base64":
            return _Base64()
        case "quoted-printable":
            return _QuotedPrintable()
        case other:
            raise _malformed(f"a part has the unknown coding {other!r}")


def _checked_headers(pairs: list[tuple[bytes, bytes]]) -> Headers:
    if any(b"\n" in value for _, value in pairs):
        raise _malformed("a part's header holds a line feed")
    try:
        return Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)
    except TypeError:
        raise _malformed("a part's header holds a control character") from None


def _read_disposition(values: list[str]) -> tuple[str, str | None]:
    """The name and file name of a part; RFC 7578 §4.2 wants exactly one Content-Disposition, with a name."""
    if len(values) != 1:
        raise _malformed("a part needs one Content-Disposition")
    # A header is read as latin-1, but browsers write these names in UTF-8.
    value = values[0].encode("latin-1").decode(errors="replace")
    params = _parameters(value, _parameter_escaped, lambda text: _backslash(r"\1", text))
    if params is None:
        params = _parameters(value, _parameter_plain, lambda text: text)
    if params is None or "name" not in params:
        raise _malformed("a part's Content-Disposition is not form-data with a name")
    return params["name"], params.get("filename")


def _parameters(
    value: str, parameter: Callable[[str, int], re.Match[str] | None], unquote: Callable[[str], str]
) -> dict[str, str] | None:
    """The parameters of a form-data disposition, or None if *parameter* does not fit it, or one comes twice."""
    head = _form_data(value)
    if head is None:
        return None
    params: dict[str, str] = {}
    end = head.end()
    while (found := parameter(value, end)) is not None:
        end = found.end()
        key, quoted, token = found.groups()
        if key.lower() in params:
            return None
        text = unquote(quoted) if quoted is not None else token
        params[key.lower()] = _escape(lambda match: chr(int(match[1], 16)), text)
    return params if _is_end(value, end) else None


def _malformed(what: str) -> BadRequest:
    return BadRequest(f"Invalid form: {what}", code="invalid_form")


def _form_too_large(limits: FormLimits) -> PayloadTooLarge:
    return PayloadTooLarge(f"The form holds over {limits.max_form_bytes} bytes besides its files")
