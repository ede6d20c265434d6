"""Logging on the standard library: JSON lines in production, one readable line in development.

``configure`` sets up the root logger, so ``logging.getLogger(__name__).info(...)`` in a route comes
out the same way as Turnout's own lines. Each line carries the request id and the route *pattern*
where they are known; the path, which may hold a token, is shown on a developer's terminal only.

Every text is redacted on the way out: values behind names such as ``password`` or ``api_key``, values
that look like a known kind of key, and the value of every ``Secret``. Redaction errs on the side of
hiding. A sink that fails loses its line and nothing else.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TextIO, TypeAlias

HIDDEN = "[redacted]"

# Each pattern stays linear on any line: what may repeat is bounded, or always ends in a match.
_NAMES = r"passw|pwd|secret|token|authori[sz]|cookie|api.?key|access.?key|private.?key|credential|card|otp|signature"
_NAME = re.compile(_NAMES, re.IGNORECASE)
_NAMED = re.compile(
    rf"""
    (?:{_NAMES})[\w.%-]{{0,64}}                    # the name, to its end
    (?: \\?["'`]?\]?[ \t]{{0,4}} (?: => | [:=] | %3D ) [ \t]{{0,4}}+  # then = or : or =>, the name perhaps quoted
      | \\?["']\s{{0,4}},\s{{0,4}}+ )                 # or the comma of a quoted pair
    b?+ (?!\[redacted)
    (?P<value>
        \\?"(?:[^"\\\n]|\\[^"\n])*(?:\\?")?         # quoted: to the closing quote, or the end of the line
      | \\?'(?:[^'\\\n]|\\[^'\n])*(?:\\?')?
      | [\[({{][^\])}}\n]*                           # a list or an object: to its end
      | (?<=:)[^\n,"'&]+ | (?<=:[ \t])[^\n,"'&]+    # name: value may have spaces
      | [^\s&,;"']+
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADER = re.compile(r"((?:authorization|cookie)[\"']?+\s{0,2}+[:=]\s{0,2}+)(?![\"'\[({])[^\n\"']+", re.IGNORECASE)
_SHAPE = re.compile(
    r"""
      \b(?:sk|rk|pk)[_-](?:live|test|ant|proj|or)[_-][\w-]+ | \bsk-[\w-]{16,}       # Stripe, model providers
    | \bwhsec_[\w+/=-]+ | \bsb[a-z]?_(?:secret_|publishable_)?\w{8,} | \bre_\w{16,}  # webhooks, Supabase, Resend
    | \bgh[pousr]_\w{16,} | \bgithub_pat_\w+ | \bglpat-[\w-]+ | \bxox[a-z]-[\w-]+    # GitHub, GitLab, Slack
    | \b(?:AKIA|ASIA)[A-Z0-9]{12,} | \bAIza[\w-]{20,} | \bSG\.[\w-]{8,}\.[\w-]+      # AWS, Google, SendGrid
    | \beyJ[\w-]+(?:\.[\w-]*)*                                                       # a JSON Web Token or a part of one
    | -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----(?:[^-]|-(?!----))*(?:-----END[ ][A-Z ]*-----)?
    """,
    re.VERBOSE,
)
_SCHEME = re.compile(r"\b(Bearer|Basic|Digest|ApiKey)(\s{1,4}|%20|\+)[\w.~+/=%-]{6,}", re.IGNORECASE)
_USERINFO = re.compile(
    r"(://|%3A%2F%2F)(?:([^\s/:@?#%\"']{0,128})(?::|%3A)[^\s\"'<>]{1,256}|[^\s/:@]{20,256})(@|%40)", re.IGNORECASE
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

Secrets: TypeAlias = Collection[str]
"""The texts to hide; looked at on each line, so a set that grows later is fine."""


class Hidden:
    """One expression for all secrets, in each spelling a log may show, made anew when their number changes."""

    def __init__(self, secrets: Secrets) -> None:
        self.secrets, self.count = secrets, 0
        self.expression: re.Pattern[str] | None = None

    def sub(self, text: str) -> str:
        if len(self.secrets) != self.count:
            self.count = len(self.secrets)
            self.expression = self._compile()
        return self.expression.sub(HIDDEN, text) if self.expression else text

    def _compile(self) -> re.Pattern[str] | None:
        from urllib.parse import quote, quote_plus

        spellings: set[str] = set()
        for secret in tuple(self.secrets):
            if len(secret) >= 4:  # hiding "a" everywhere would make the log unreadable and hide nothing
                spellings |= {secret, repr(secret)[1:-1], _escape(secret)}
                spellings |= {quote(secret, "", errors="replace"), quote_plus(secret, errors="replace")}
        # The longest first: a secret may begin with another.
        ordered = sorted(spellings, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, ordered))) if ordered else None


_hidden = Hidden(())


def redact(text: str) -> str:
    """*text* with everything that looks like a secret replaced by ``[redacted]``."""
    text = _hidden.sub(text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    return _NAMED.sub(_hide_value, redact_tokens(text))


def is_secret_name(name: str) -> bool:
    """Whether what goes by *name* is not for showing: a password, a token, the number of a card."""
    return _NAME.search(name) is not None


def redact_tokens(text: str) -> str:
    """*text* without what has the shape of a token or of a URL's password; ``password = x`` stays, as code needs it."""
    text = _SHAPE.sub(HIDDEN, text)
    text = _SCHEME.sub(rf"\1\2{HIDDEN}", text)
    return _USERINFO.sub(lambda found: f"{found[1]}{found[2] or ''}:{HIDDEN}{found[3]}", text)


def _hide_value(found: re.Match[str]) -> str:
    value = found["value"]
    head = found[0][: -len(value)]
    opening = re.match(r"\\?[\"']|", value)
    quote = opening[0] if opening else ""
    return f"{head}{quote}{HIDDEN}{quote}"


def _clean(value: Any, depth: int = 0) -> Any:
    """*value* as JSON data without secrets; anything unknown becomes its text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has no NaN and no infinity
    if depth < 6 and isinstance(value, Mapping):
        return {
            redact(str(key)): HIDDEN if _NAME.search(str(key)) else _clean(item, depth + 1)
            for key, item in value.items()
        }
    if depth < 6 and isinstance(value, list | tuple | set | frozenset):
        return [_clean(item, depth + 1) for item in value]
    return redact(value if isinstance(value, str) else str(value))


def _escape(text: str) -> str:
    r"""Control characters, and those that reorder a line, as ``\x1b`` or ``\u202e``."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
_ACCESS = "turnout.access"

About: TypeAlias = Callable[[], Mapping[str, str]]
"""Gives ``request_id`` and ``route`` of the request under way, or nothing."""


class _Formatter(logging.Formatter):
    def __init__(self, about: About | None) -> None:
        super().__init__()
        self.about = about

    def message(self, record: logging.LogRecord) -> str:
        try:
            return redact(record.getMessage())
        except Exception:  # arguments that do not fit the format are a slip in a log call, never a failed request
            return redact(str(record.msg))

    def extra(self, record: logging.LogRecord) -> dict[str, Any]:
        given = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        return (dict(self.about()) if self.about else {}) | given

    def trace(self, record: logging.LogRecord) -> str:
        parts = [self.formatException(record.exc_info)] if record.exc_info else []
        return redact("\n".join([*parts, record.stack_info] if record.stack_info else parts))


class _JSONLines(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        import json

        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{seconds}.{int(record.created * 1000) % 1000:03}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
        }
        extra = self.extra(record)
        if record.name == _ACCESS:
            extra.pop("path", None)
        line |= {name: value for name, value in _clean(extra).items() if name not in line}
        if trace := self.trace(record):
            line["traceback"] = trace
        return json.dumps(line, separators=(",", ":"))  # ASCII only, which escapes every control character


_RESET, _BOLD, _DIM = "\x1b[0m", "\x1b[1m", "\x1b[2m"
_RED, _GREEN, _YELLOW, _CYAN = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m"
_LEVELS = {"DEBUG": _DIM, "INFO": _GREEN, "WARNING": _YELLOW, "ERROR": _RED, "CRITICAL": _RED}
_STATUSES = {1: _CYAN, 2: _GREEN, 3: _CYAN, 4: _YELLOW, 5: _RED}


def use_colours(stream: TextIO) -> bool:
    """Whether *stream* is a terminal that wants colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Readable(_Formatter):
    def __init__(self, about: About | None, colours: bool) -> None:
        super().__init__(about)
        self.colours = colours

    def paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self.colours else text

    def format(self, record: logging.LogRecord) -> str:
        line = self.access(record) if record.name == _ACCESS else self.other(record)
        if trace := self.trace(record):
            line += "\n" + "\n".join(_escape(each) for each in trace.split("\n"))
        return line

    def access(self, record: logging.LogRecord) -> str:
        fields = record.__dict__
        status = self.paint(_STATUSES.get(fields["status"] // 100, _RED), str(fields["status"]))
        path = _escape(redact(fields["path"]))
        duration = self.paint(_DIM, f"{fields['duration_ms']:.1f} ms")
        return f"{self.paint(_BOLD, _escape(fields['method']))} {path} {status} {duration}"

    def other(self, record: logging.LogRecord) -> str:
        level = self.paint(_LEVELS.get(record.levelname, _DIM), f"{record.levelname.lower():<7}")
        name = "" if record.name.partition(".")[0] == "turnout" else f"{record.name}: "
        extra = _clean(
            {name: value for name, value in self.extra(record).items() if name not in ("request_id", "route")}
        )
        pairs = "".join(self.paint(_DIM, f" {_escape(key)}={_escape(str(value))}") for key, value in extra.items())
        return f"{level} {name}{_escape(self.message(record))}{pairs}"


class _Sink(logging.Handler):
    """Writes lines to a stream. A full disk or a closed pipe must never fail a request, so errors only count."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream, self.lost = stream, 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(self.format(record) + "\n")
            self.stream.flush()
        except Exception:
            self.lost += 1


class _Kept(_Sink):
    """A file that begins anew when it is large: what a developer's tools read back, not an archive."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if self.stream.tell() > _LARGEST:
                self.stream.seek(0)
                self.stream.truncate()
        except Exception:
            self.lost += 1
        super().emit(record)


_LARGEST = 4_000_000  # bytes


def keep(file: str, *, about: About | None = None) -> None:
    """Write the same records to *file* too, as JSON lines, for its owner alone; after ``configure``."""
    os.makedirs(os.path.dirname(file), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - pathlib is slow to import
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    kept = _Kept(os.fdopen(handle, "w", encoding="utf-8"))
    kept.setFormatter(_JSONLines(about))
    logging.getLogger().addHandler(kept)


def configure(
    mode: Literal["development", "test", "production"],
    stream: TextIO | None = None,
    *,
    secrets: Secrets = (),
    about: About | None = None,
) -> None:
    """Send all log records of level INFO and above to *stream*; a second call replaces the first.

    Args:
        mode: JSON lines in production, readable lines otherwise.
        stream: Where lines go; standard error if None.
        secrets: Texts never to be shown, usually ``env.secret_values``; it may grow later.
        about: Gives the request id and route of lines logged while a request is handled.
    """
    global _hidden
    stream = sys.stderr if stream is None else stream
    _hidden = Hidden(secrets)
    sink = _Sink(stream)
    sink.setFormatter(_JSONLines(about) if mode == "production" else _Readable(about, use_colours(stream)))
    root = logging.getLogger()
    root.handlers[:] = [*(each for each in root.handlers if not isinstance(each, _Sink)), sink]
    root.setLevel(logging.INFO)


_access_log = logging.getLogger(_ACCESS)


def access(
    method: str, path: str, status: int, duration_ms: float, request_id: str | None, pattern: str | None
) -> None:
    """Log one answered request; *pattern* is None where no route matched."""
    if _access_log.isEnabledFor(logging.INFO):
        fields = {"method": method, "path": path, "status": status, "duration_ms": round(duration_ms, 3)}
        ids = {"request_id": request_id, "route": pattern}
        _access_log.info("%s %s %d", method, pattern or "-", status, extra=fields | ids)
