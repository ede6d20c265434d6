"""The project's settings: ``[tool.turnout]`` in its ``pyproject.toml``, typed and strict.

An unknown key or a wrong type stops the start, with file, line and the nearest known key: a
setting that is quietly ignored is a limit that nobody has. What differs from machine to machine
comes from the environment and wins over the file: ``PORT``, ``HOST``, ``WEB_CONCURRENCY`` and
``DATABASE_URL``. Secrets are never read from this file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct, field
from msgspec.structs import asdict

from .env import Mode
from .errors import ConfigError
from .http.body import Limits

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
FILE = "pyproject.toml"


class ServerConfig(Struct, frozen=True):
    """``[tool.turnout.server]``: the address, and the times and limits of the native server.

    Times end in ``_s`` and are seconds; what each is for stands in the security page.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    workers: int | None = None  # as many as there are CPUs, two at least
    access_log: bool = False
    header_timeout_s: float = 10
    keep_alive_s: float = 75
    body_grace_s: float = 10
    body_bytes_per_s: int = 1024
    max_duration_s: float = 30
    stream_idle_s: float = 60
    write_stall_s: float = 30
    max_header_bytes: int = 32_768
    max_headers: int = 100
    max_path_bytes: int = 2048
    max_query_bytes: int = 8192
    max_connections: int = 10_000
    max_in_flight: int = 256
    max_streams: int = 1000
    drain_delay_s: float = 1
    drain_s: float = 30
    heartbeat_s: float = 1
    silence_s: float = 30


class MailConfig(Struct, frozen=True):
    """``[tool.turnout.mail]``: how mail is sent in production; elsewhere it stays on the machine."""

    transport: str | None = None  # what the environment has the secret of, if it is plain
    sender: str | None = None  # required in production
    queued: bool = False
    timeout_s: float = 20


class AuthConfig(Struct, frozen=True):
    """``[tool.turnout.auth]``: who may sign up, how long things hold, and which providers there are.

    Provider secrets come from the environment: ``AUTH_GOOGLE_SECRET``, ``AUTH_GITHUB_SECRET``.
    """

    site_url: str | None = None  # origin, or this machine and port in development
    redirect_urls: list[str] = field(default_factory=list)
    issuer: str | None = None  # site_url and /auth/v1
    sign_ups: bool = True
    anonymous: bool = False
    auto_confirm: bool = False
    pages: bool = False  # sign-in pages below /auth
    roles: list[str] = field(default_factory=list)  # words that a route's auth constant may name
    browser_client: bool = False  # a client in the browser reads the session cookies too
    secure_email_change: bool = True
    secure_password_change: bool = False
    manual_linking: bool = False
    password_min_length: int = 8
    bcrypt_cost: int = 10
    access_token_s: int = 3600
    refresh_reuse_s: int = 10
    code_s: int = 3600
    session_max_s: int | None = None
    session_idle_s: int | None = None
    sign_ins_per_five_min: int = 30
    verifications_per_five_min: int = 30
    codes_per_five_min: int = 30
    refreshes_per_five_min: int = 150
    passwords_per_five_min: int = 10
    anonymous_per_hour: int = 30
    mails_per_hour: int = 30
    mail_interval_s: int = 60
    google_client_id: str | None = None
    google_authorize_url: str = "https://accounts.google.com/o/oauth2/v2/auth"
    google_token_url: str = "https://oauth2.googleapis.com/token"
    google_user_url: str = "https://openidconnect.googleapis.com/v1/userinfo"
    github_client_id: str | None = None
    github_authorize_url: str = "https://github.com/login/oauth/authorize"
    github_token_url: str = "https://github.com/login/oauth/access_token"
    github_user_url: str = "https://api.github.com/user"


class DeployConfig(Struct, frozen=True):
    """``[tool.turnout.deploy]``: what ``turnout build`` cannot find out by itself.

    Attributes:
        allow: What a target may carry although it refuses it, such as ``state`` or ``files``.
        environment: Names of variables that the place it runs in sets: they stand for what the build misses.
        lambda_runtime: ``managed`` for AWS's own runtime client, ``loop`` for Turnout's, which streams.
        lambda_events: What calls the function: ``url``, ``http-api``, ``rest-api`` or ``alb``.
    """

    allow: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    lambda_runtime: str = "managed"
    lambda_events: str = "url"
    lambda_memory_mb: int = 1024
    lambda_log_days: int = 30


class AiConfig(Struct, frozen=True):
    """``[tool.turnout.ai]``: ``turnout create``. Keys come from the environment."""

    enabled: bool = True  # False: recipes only, nothing leaves the machine
    model: str | None = None  # provider:model
    base_url: str | None = None  # of an OpenAI-compatible server
    sandbox: str = "auto"  # require, auto or off
    max_cost_usd: float = 0.5
    max_requests: int = 12
    max_tokens: int = 200_000
    context_tokens: int = 6_000
    answer_tokens: int = 8_000
    answer_s: float = 600


class Config(Struct, frozen=True):
    """``[tool.turnout]`` of one project.

    Attributes:
        root: The project's folder, absolute.
        mode: What it was read for.
        database_url: ``DATABASE_URL``, or ``app.db`` in the data folder; a SQLite path is absolute.
        compress: Whether answers are made smaller (zstd, brotli, gzip) for clients that can read that.
        agent_rules: Whether ``turnout new --agents`` writes what coding agents read.
        trailing_slash: True where ``/x/`` is the canonical form and ``/x`` redirects.
        sync_threads: How many ``def`` handlers may run at once.
        metrics: Whether Prometheus metrics are counted, and served at ``/_turnout/metrics``.
        supabase: Whether ``/auth/v1`` and ``/rest/v1`` are served; see ``auth.wire``.
        supabase_origins: Origins whose pages may call them.
        cors: Origins whose pages may read every route's answers, where the route does not say otherwise.
    """

    root: Path
    mode: Mode
    database_url: str
    allowed_hosts: list[str] = field(default_factory=list)
    trusted_proxies: list[str] = field(default_factory=list)
    origin: str | None = None
    compress: bool = True
    trailing_slash: bool = False
    agent_rules: bool = True
    sync_threads: int = 40
    cors: list[str] = field(default_factory=list)
    metrics: bool = False
    supabase: bool | None = None  # None: served in development and tests, to this machine
    supabase_origins: list[str] = field(default_factory=list)
    app_dir: str = "app"
    public_dir: str = "public"
    migrations_dir: str = "migrations"
    data_dir: str = "data"
    server: ServerConfig = field(default_factory=ServerConfig)
    limits: Limits = field(default_factory=Limits)
    mail: MailConfig = field(default_factory=MailConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    ai: AiConfig = field(default_factory=AiConfig)
    deploy: DeployConfig = field(default_factory=DeployConfig)


# The tables below [tool.turnout]: each is a field of Config of that name.
_SECTIONS: dict[str, type[Any]] = {
    "server": ServerConfig,
    "limits": Limits,
    "mail": MailConfig,
    "auth": AuthConfig,
    "deploy": DeployConfig,
    "ai": AiConfig,
}
_NOT_IN_THE_FILE = frozenset(("root", "mode", "database_url", *_SECTIONS))
_TOP = "tool.turnout"
_MAY_BE_ZERO = frozenset(("port", "drain_delay_s", "drain_s", "body_grace_s", "keep_alive_s", "refresh_reuse_s"))
_FROM_ENVIRONMENT = {"port": "PORT", "host": "HOST", "workers": "WEB_CONCURRENCY"}


def load_config(root: Path, mode: Mode, values: Mapping[str, str]) -> Config:
    """Read the settings of the project in *root*; a missing file means all defaults.

    Args:
        root: The project's folder.
        mode: Production demands ``allowed_hosts``; elsewhere this machine's names are the default.
        values: The environment, as ``env.load_env`` gives it.

    Raises:
        ConfigError: lists everything that is unknown, of a wrong type or out of range.
    """
    root = root.absolute()
    reader = _Reader(root / FILE)
    tables = reader.table(reader.data, "tool", "").get("turnout", {})
    top = reader.table({"turnout": tables}, "turnout", "tool")
    given = reader.fields(Config, top, _TOP, skip=_NOT_IN_THE_FILE, also=tuple(_SECTIONS))
    reader.judge_names(given)
    sections = {
        name: reader.fields(kind, reader.table(top, name, _TOP), f"{_TOP}.{name}") for name, kind in _SECTIONS.items()
    }
    sections["server"] |= reader.environment(values)
    if not given.get("allowed_hosts"):
        if mode == "production":
            reader.missing_hosts()
        given["allowed_hosts"] = list(LOCAL_HOSTS)
    reader.raise_problems()
    database = _absolute(values.get("DATABASE_URL") or f"{given.get('data_dir', 'data')}/app.db", root)
    return Config(
        root=root,
        mode=mode,
        database_url=database,
        **{name: kind(**sections[name]) for name, kind in _SECTIONS.items()},
        **given,
    )


def built_config(settings: Mapping[str, Any], root: Path, mode: Mode, values: Mapping[str, str]) -> Config:
    """The settings that a build has checked, with the database that the environment names here."""
    sections = {name: kind(**settings[name]) for name, kind in _SECTIONS.items()}
    rest = {name: value for name, value in settings.items() if name not in _SECTIONS}
    database = _absolute(values.get("DATABASE_URL") or f"{settings['data_dir']}/app.db", root)
    return Config(root=root, mode=mode, database_url=database, **rest, **sections)


def to_settings(config: Config) -> dict[str, Any]:
    """What :func:`built_config` reads: *config* without what is another in each place it runs in."""
    kept = {name: value for name, value in asdict(config).items() if name not in ("root", "mode", "database_url")}
    return {name: asdict(value) if name in _SECTIONS else value for name, value in kept.items()}


def _absolute(database: str, root: Path) -> str:
    """A relative SQLite path is one in the project, from wherever the command was typed."""
    path = database.removeprefix("sqlite:///")
    if "://" in path or ":memory:" in path:
        return database
    return str(root / path)


class _Reader:
    """Reads tables of one file and collects what is wrong with them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.problems: list[tuple[int | None, str, str | None]] = []
        self.text, self.data = self._load()

    def _load(self) -> tuple[str, dict[str, Any]]:
        import tomllib

        try:
            text = self.file.read_bytes().decode()
            return text, _parse(text.replace("\r\n", "\n"))
        except FileNotFoundError:
            return "", {}
        except UnicodeDecodeError as exc:
            raise ConfigError("this file is not UTF-8", file=self.file, cure="save it as UTF-8") from exc
        except OSError as exc:
            raise ConfigError(f"cannot read this file: {exc.strerror}", file=self.file) from exc
        except tomllib.TOMLDecodeError as exc:
            at = re.search(r"\(at line (\d+)", str(exc))
            # At the end of the document no line is given; the mistake is an open bracket or quote before it.
            line = int(at[1]) if at else text.count("\n") + 1
            raise ConfigError(
                f"this is not TOML: {exc}", file=self.file, line=line, cure="see https://toml.io"
            ) from exc

    def table(self, parent: dict[str, Any], name: str, section: str) -> dict[str, Any]:
        value = parent.get(name, {})
        if isinstance(value, dict):
            return value
        self.problem(section, name, f"{name} must be a table", f"write [{section}.{name}]")
        return {}

    def problem(self, section: str, key: str, message: str, cure: str | None = None) -> None:
        self.problems.append((self.line(section, key), message, cure))

    def line(self, section: str, key: str) -> int | None:
        """The line of *key* in ``[section]``, found by its text; None for the rarer spellings."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[\[?\s*([^\]]+?)\s*\]", line):
                current = re.sub(r"[\s\"']", "", header[1])
                if current == f"{section}.{key}":
                    return number
            elif current == section and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[=.]", line):
                return number
        return None

    def fields(
        self,
        kind: Any,
        table: dict[str, Any],
        section: str,
        skip: frozenset[str] = frozenset(),
        also: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        """The entries of *table* that are fields of *kind*, checked; the others are problems."""
        known = [name for name in kind.__struct_fields__ if name not in skip]
        read: dict[str, Any] = {}
        for key, value in table.items():
            if key in also:
                continue
            if key not in known:
                self._unknown(section, key, [*known, *also])
            elif (wrong := _wrong(key, value, _hints(kind)[key])) is not None:
                self.problem(section, key, f"{key} must be {wrong}, not {value!r}")
            else:
                read[key] = value
        return read

    def _unknown(self, section: str, key: str, known: list[str]) -> None:
        from difflib import get_close_matches

        near = get_close_matches(key, known, 1, 0.5)
        cure = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        if key == "database_url":
            cure = "set DATABASE_URL in .env or where the server is started; it may hold a password"
        self.problem(section, key, f"{key} is no setting of [{section}]", cure)

    def environment(self, values: Mapping[str, str]) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for key, name in _FROM_ENVIRONMENT.items():
            text = values.get(name)
            if not text:
                continue
            value: str | int = int(text) if key != "host" and text.isdecimal() and len(text) < 10 else text
            hint: Any = str if key == "host" else int
            if (wrong := _wrong(key, value, hint)) is not None:
                self.problems.append((None, f"{name} in the environment must be {wrong}, not {text!r}", None))
            else:
                read[key] = value
        return read

    def judge_names(self, given: dict[str, Any]) -> None:
        """Let those who use the hosts and addresses judge them, while file and line are known."""
        from .http.address import Trust
        from .http.guard import AllowedHosts

        judges: dict[str, Callable[[list[str]], Any]] = {"allowed_hosts": AllowedHosts, "trusted_proxies": Trust.of}
        for key, judge in judges.items():
            try:
                judge(given.get(key, []))
            except ConfigError as exc:
                self.problem(_TOP, key, exc.message, exc.cure)

    def missing_hosts(self) -> None:
        self.problem(
            _TOP,
            "allowed_hosts",
            "allowed_hosts is missing, and production answers only to hosts that it names",
            f'add allowed_hosts = ["example.com"] under [{_TOP}] ("localhost" to try production on this machine)',
        )

    def raise_problems(self) -> None:
        if not self.problems:
            return
        # In file order, so that the place named first is the first place to go to.
        ordered = sorted(self.problems, key=lambda problem: problem[0] or 0)
        line, message, cure = next((each for each in ordered if each[0]), ordered[0])
        if len(ordered) > 1:
            message = f"{len(ordered)} settings are wrong:"
            for at, what, how in ordered:
                message += f"\n    {f'line {at}: ' if at else ''}{what}{f' ({how})' if how else ''}"
            cure = "mend each of them"
        raise ConfigError(message, file=self.file, line=line, cure=cure)


# A worker reads the settings that its supervisor has read: what is kept from then need not be made, nor held, twice.
_hints = cache(get_type_hints)


@lru_cache(maxsize=1)
def _parse(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


_is_origin = re.compile(r"https?://[^\s/?#@*\\]+").fullmatch
_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _wrong(key: str, value: Any, hint: Any) -> str | None:
    """What *value* should have been, or None where it is right."""
    if get_origin(hint) is UnionType:
        hint = next(each for each in get_args(hint) if each is not NoneType)
    if get_origin(hint) is list:
        right = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
        if right and key == "supabase_origins" and not all(map(_is_origin, value)):
            return 'a list of origins such as ["https://app.example.com"]'
        return None if right else 'a list of texts such as ["example.com"]'
    accepted = (int, float) if hint is float else (hint,)
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        return _WORDS[hint]
    if isinstance(value, str):
        return _wrong_text(key, value)
    if key == "port":
        return None if 0 <= value <= 65535 else "from 0 to 65535"
    if hint is bool:
        return None
    least = 0 if key in _MAY_BE_ZERO else 1 if hint is int else 0.001
    # NaN compares false with everything, so the question is asked the right way round.
    return None if least <= value < 1e12 else f"{least} or more"


def _wrong_text(key: str, value: str) -> str | None:
    if not value:
        return "a text that is not empty"
    if key == "origin" and not _is_origin(value):
        return 'a scheme and a host such as "https://example.com"'
    if key == "lambda_runtime" and value not in ("managed", "loop"):
        return '"managed" or "loop"'
    if key == "lambda_events" and value not in ("url", "http-api", "rest-api", "alb"):
        return '"url", "http-api", "rest-api" or "alb"'
    if key == "sandbox" and value not in ("require", "auto", "off"):
        return "require, auto or off"
    if key == "transport" and value not in ("smtp", "resend", "ses", "outbox"):
        return '"smtp", "resend", "ses" or "outbox"'
    if key.endswith("_dir") and (value.startswith(("/", "\\", "~")) or ".." in re.split(r"[\\/]", value)):
        return "a folder inside the project"
    return None
