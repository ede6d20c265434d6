"""log.py: two shapes of lines, what they carry, and what never gets into them."""

from __future__ import annotations

import io
import itertools
import json
import logging
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout import log
from turnout.env import Secret, secret_values


@pytest.fixture(autouse=True)
def _leave_the_root_logger_as_it_was():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    log._hidden = log.Hidden(())


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_production_line_is_one_json_object():
    stream = io.StringIO()
    log.configure("production", stream)

    logging.getLogger("lib.email").warning("sent %d", 3, extra={"request_id": "r1", "route": "/a/[id]", "to": ["x"]})

    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "lib.email",
        "message": "sent 3",
        "request_id": "r1",
        "route": "/a/[id]",
        "to": ["x"],
    }


def test_the_request_under_way_is_named_on_each_line():
    stream = io.StringIO()
    log.configure("production", stream, about=lambda: {"request_id": "r1", "route": "/a"})

    logging.getLogger("x").info("hello")
    logging.getLogger("x").info("hello", extra={"request_id": "r2"})

    assert [(line["request_id"], line["route"]) for line in lines(stream)] == [("r1", "/a"), ("r2", "/a")]


def test_an_access_line_holds_the_pattern_and_not_the_path():
    stream = io.StringIO()
    log.configure("production", stream)

    log.access("GET", "/reset/tok-123", 200, 1.23456, "r1", "/reset/[token]")
    log.access("GET", "/wp-admin/tok-123", 404, 1.0, "r2", None)

    first, second = lines(stream)
    assert (first["message"], first["route"], first["duration_ms"]) == (
        "GET /reset/[token] 200",
        "/reset/[token]",
        1.235,
    )
    assert (second["message"], second["route"]) == ("GET - 404", None)
    assert "tok-123" not in stream.getvalue()


def test_a_development_line_reads_well():
    stream = io.StringIO()
    log.configure("development", stream)

    log.access("GET", "/api/posts", 200, 1.24, "r1", "/api/posts")
    logging.getLogger("lib.mail").info("sent", extra={"count": 2, "request_id": "r1"})
    logging.getLogger("turnout.dev").error("no")

    assert stream.getvalue().splitlines() == [
        "GET /api/posts 200 1.2 ms",
        "info    lib.mail: sent count=2",
        "error   no",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    coloured, plain = Terminal(), Terminal()

    log.configure("development", coloured)
    log.access("GET", "/a", 500, 1, "r", "/a")
    monkeypatch.setenv("NO_COLOR", "1")
    log.configure("development", plain)
    log.access("GET", "/a", 500, 1, "r", "/a")

    assert "\x1b[31m500\x1b[0m" in coloured.getvalue()
    assert plain.getvalue() == "GET /a 500 1.0 ms\n"


@pytest.mark.parametrize("mode", ["production", "development"])
def test_a_message_cannot_forge_a_line_nor_steer_a_terminal(mode, monkeypatch):
    # Without the handlers of pytest: what they keep is sent between processes, which half a character cannot be.
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    stream = io.StringIO()
    log.configure(mode, stream)
    nasty = "a\nGET /admin 200\r\x1b[2J\x9b\u202e\u2028\x00\ud800"

    logging.getLogger("x").info(nasty, extra={"who": nasty})
    log.access("GET\n", "/" + nasty, 200, 1, nasty, None)

    text = stream.getvalue()
    assert text.count("\n") == 2 and len(text.splitlines()) == 2
    assert not set(text) & set("\r\x1b\x9b\u202e\u2028\x00\ud800")


def test_a_traceback_is_one_field():
    stream = io.StringIO()
    log.configure("production", stream)
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        logging.getLogger("x").exception("failed")

    (line,) = lines(stream)
    assert "Traceback" in line["traceback"] and "ValueError" in line["traceback"]
    assert "hunter2" not in stream.getvalue()


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("mode", ["production", "development"])
def test_a_failing_sink_or_value_never_raises(mode, capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own handler raises where ours must not
    stream = io.StringIO()
    log.configure(mode, Broken())
    log.access("GET", "/", 200, 1, "r", "/")
    log.configure(mode, stream)
    logging.getLogger("x").info("%d", "not a number")
    logging.getLogger("x").info("x", extra={"a": Unprintable()})
    logging.getLogger("x").info("x", extra={"b": float("nan"), "c": object()})
    stream.close()
    log.access("GET", "/", 200, 1, "r", "/")

    assert tuple(capsys.readouterr()) == ("", "")


def test_configuring_twice_logs_once():
    first, second = io.StringIO(), io.StringIO()
    log.configure("production", first)
    log.configure("production", second)
    logging.getLogger("x").info("once")

    assert (first.getvalue(), len(lines(second))) == ("", 1)


NAMES = re.findall(
    r"\S+",
    """password passwd db_password client_secret token access_token csrfToken authorization proxy-authorization
    cookie set-cookie api_key apikey api-key X-Api-Key card card_number otp otp_code signature stripe-signature""",
)
FORMS = [
    "{name}={value}",
    "{name}: {value}",
    '{{"{name}": "{value}", "other": 1}}',
    "{{'{name}': '{value}'}}",
    "GET /x?{name}={value}&page=2",
    "GET /x?next=%2Fy%3F{name}%3D{value}",
    "headers=[(b'{name}', b'{value}')]",
    'body="{{\\"{name}\\": \\"{value}\\"}}"',
    "{name} => {value}",
    '{{"{name}": ["{value}", "{value}"]}}',
]
SHAPES = [
    "sk_live_MARKER51Hx",
    "rk_test_MARKER",
    "whsec_MARKER/ab+c=",
    "eyJhbGciMARKER.eyJzdWIiMARKER.sigMARKER",
    "postgres://user:MARKER@db:5432/app",
    "postgresql://user:p@MARKER/x@db/app",
    "redis://:MARKER@cache",
    "https://x.test/?next=postgres%3A%2F%2Fu%3AMARKER%40host",
    "Bearer MARKERabcdef",
    "Basic TUFSS0VSMARKER==",
    "ghp_MARKER0123456789abcd",
    "sb_secret_MARKER12",
    "AKIA0123456789MARKER",
    "-----BEGIN PRIVATE KEY-----\nMARKER\nMARKER\n-----END PRIVATE KEY-----",
]
AROUND = ["{}", "calling {} failed", '{{"value": "{}"}}', "https://x.test/a?b={}&c=1", "repr: '{}'"]


def corpus() -> list[str]:
    """200 lines, each with MARKER where the secret is, drawn from every name, form and shape."""
    named = [form.format(name=name, value="MARKER-51Hx") for name, form in itertools.product(NAMES, FORMS)]
    shaped = [around.format(shape) for shape, around in itertools.product(SHAPES, AROUND)]
    return shaped + random.Random(12).sample(named, 200 - len(shaped))


@pytest.mark.parametrize("mode", ["production", "development"])
def test_a_corpus_of_200_lines_leaks_nothing(mode):
    stream = io.StringIO()
    log.configure(mode, stream)
    leaks = []
    for text in corpus():
        stream.truncate(stream.seek(0))
        logging.getLogger("x").info("%s", text, extra={"detail": text, "nested": {"list": [text]}})
        log.access("GET", "/" + text, 200, 1, "r", None)
        leaks += [text] if "MARKER" in stream.getvalue() else []

    assert (len(corpus()), leaks) == (200, [])


def test_every_name_in_every_form_is_hidden():
    texts = [form.format(name=name, value="MARKER-51Hx") for name, form in itertools.product(NAMES, FORMS)]

    assert [text for text in texts if "MARKER" in log.redact(text)] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_extra_field_with_such_a_name_is_hidden_whole(name):
    stream = io.StringIO()
    log.configure("production", stream)
    logging.getLogger("x").info("x", extra={name: "MARKER", "body": {"a": [{name.upper(): {"b": "MARKER"}}]}})

    assert "MARKER" not in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        "GET /api/posts 200 1.2 ms",
        "Listening on http://127.0.0.1:8000/api/hello",
        "mail sent to ada@example.test at 10:32:01",
        "https://example.test/a/b?page=2&sort=name#top",
        "ssh://git@github.test/x",
        "the cookie was fine and the token too",
        "task_123 risk-free sk_12 re_do",
    ],
)
def test_an_ordinary_line_is_left_alone(text):
    assert log.redact(text) == text


def test_what_stands_around_a_secret_stays_readable():
    assert log.redact("GET /x?token=abc&page=2") == "GET /x?token=[redacted]&page=2"
    assert log.redact('{"password": "a b", "page": 2}') == '{"password": "[redacted]", "page": 2}'
    assert log.redact("postgres://ada:pw@db/app") == "postgres://ada:[redacted]@db/app"
    assert log.redact("Authorization: Bearer abc.def\nAccept: */*") == "Authorization: [redacted]\nAccept: */*"


@pytest.mark.parametrize("value", ["plain-value", 'quo"te\\s', "two\nlines", "a b&c=d/é", "50%+off"])
def test_the_value_of_a_secret_is_hidden_in_every_spelling(value):
    from urllib.parse import quote, quote_plus

    stream = io.StringIO()
    log.configure("production", stream, secrets=secret_values)
    assert Secret(value).reveal() == value
    for text in (value, repr(value), quote(value, safe=""), quote_plus(value), f"<{value}>", f"x{value}y"):
        logging.getLogger("x").info("%s", text, extra={"field": text})
        logging.getLogger("x").info("in a dict: %s", {"k": value})

    for line in lines(stream):
        for shown in (value, repr(value)[1:-1], quote(value, safe=""), quote_plus(value)):
            assert shown not in str(line["message"]) and shown not in str(line.get("field"))
    secret_values.discard(value)


def test_a_very_short_secret_does_not_blank_the_log():
    log.configure("production", io.StringIO(), secrets={"a"})

    assert log.redact("a banana") == "a banana"


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_redacting_any_text_gives_a_text(text):
    assert isinstance(log.redact(text), str)


PIECES = [
    "token",
    "token=",
    'token="',
    "token='",
    "token=[",
    "token: ",
    "://a:",
    "://",
    "://a:b@",
    "eyJ",
    "eyJa.",
    "sk-",
]
PIECES += [
    "Bearer ",
    "-----BEGIN PRIVATE KEY-----",
    "\\",
    'token="\\',
    "cookie:",
    "api key",
    "token%3D",
    'authorization="',
]


@pytest.mark.parametrize("piece", PIECES)
def test_redaction_is_linear_in_the_length_of_a_line(piece):
    """Nothing is timed: a pattern that goes back over the line would need hours for this one."""
    assert isinstance(log.redact(piece * (500_000 // len(piece))), str)


def test_a_kept_log_is_json_lines_for_its_owner_alone_and_begins_anew(tmp_path):
    file = tmp_path / ".turnout" / "dev.log"
    root = logging.getLogger()
    before = list(root.handlers)
    for word in ("first", "second"):
        log.keep(str(file))
        (kept,) = [handler for handler in root.handlers if handler not in before]
        try:
            logging.getLogger("app").warning(word)
        finally:
            root.removeHandler(kept)
            kept.stream.close()
    (line,) = file.read_text().splitlines()
    assert (json.loads(line)["message"], json.loads(line)["level"]) == ("second", "warning")
    assert file.stat().st_mode & 0o777 == 0o600
