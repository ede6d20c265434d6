"""A project's folders and settings to an App. This file knows every part; no part knows it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from msgspec import Struct

from . import auth, parts
from .admission import Admission
from .app import App, ErrorHandler, Route, answering, sized
from .config import FILE, Config, built_config, load_config
from .env import Mode, env
from .errors import ConfigError, DbError
from .http.address import Trust
from .http.aside import need_loop
from .http.cors import Cors
from .http.fetch import PROBES
from .http.guard import AllowedHosts
from .http.request import Request
from .http.response import Response, to_response
from .logger import get_logger
from .middleware import Endpoint, Middleware, compose
from .routing.bind import Call, calling, responding
from .routing.manifest import INSTRUMENTATION, ActionFile, Built, Manifest, RouteFile
from .routing.module import (
    RouteConfig,
    import_named,
    importable,
    load_error,
    load_middleware,
    load_module,
    read_constants,
    read_exports,
)
from .routing.pattern import Pattern, Segment
from .threads import Threads

if TYPE_CHECKING:
    from .actions.wire import Site
    from .cache.kept import Known
    from .db.migrate import Migration
    from .templates import Templates

logger = get_logger("turnout.project")


class Project(Struct, frozen=True):
    """One loaded project.

    Attributes:
        root: Its folder, absolute.
        config: Its settings.
        manifest: Its route files.
        app: What answers.
    """

    root: Path
    config: Config
    manifest: Manifest
    app: App


def load_project(root: Path | str = ".", *, mode: Mode | None = None, manifest: Manifest | None = None) -> Project:
    """Load the project in *root*: settings, environment, every route.

    Args:
        root: The folder that holds ``app/``.
        mode: ``TURNOUT_MODE``, else production, if None.
        manifest: What a build found before; the folders are scanned if None. Then a route is imported at its
            first request, and of Turnout only what the build has seen in use.

    Raises:
        ConfigError: something is wrong with it; file, line and cure are in the message.
    """
    root = Path(root).absolute()
    if mode is None:
        mode = cast(Mode, os.environ.get("TURNOUT_MODE", "production"))
    env.load(root, mode)
    built = manifest.built if manifest is not None else None
    config = load_config(root, mode, env) if built is None else built_config(built.settings, root, mode, env)
    importable(root)
    threads = Threads(config.sync_threads, config.server.max_duration_s)
    app_dir = root / config.app_dir
    if not app_dir.is_dir():
        raise ConfigError(
            f"There is no folder {config.app_dir}/ in {root}",
            cure="run this in a project's folder, or make a project with: turnout new my-app",
        )
    if _uses(built, "db"):
        configure = partial(use_database, config, durable=mode == "production")
        parts.tell("db", configure, now=bool(env.get("DATABASE_URL")))
    if _uses(built, "templates"):
        use_templates(root, reload=mode == "development")
    if _uses(built, "mail"):
        _plug_mail(config)
    auth.configure(config, env)
    if _uses(built, "store"):
        use_store(config)
    _load_tasks(root)
    if manifest is None:
        from .routing.scan import scan

        manifest = scan(app_dir, root / config.public_dir)
    for file in manifest.routes:
        if file.pattern.text in PROBES:
            raise ConfigError(
                f"{file.pattern.text} is answered by Turnout itself",
                file=file.file,
                cure="give the folder another name",
            )
    with _said_of(root / FILE):
        shared = Cors.of(config.cors) if config.cors else None
    site, actions = _load_actions(config, manifest, threads, shared)
    known: Known = {}
    app = App(
        [
            *(_route(file, root, threads, shared, built, known) for file in manifest.routes),
            *(_plug_public(config) if _uses(built, "static") else ()),
            *_waiting(
                built,
                [
                    *(_plug_wire(config, manifest) if _uses(built, "auth") else ()),
                    *(_plug_pages(config, manifest) if _uses(built, "auth") else ()),
                    *_plug_metrics(config),
                    *actions,
                ],
            ),
        ],
        allowed_hosts=AllowedHosts(config.allowed_hosts),
        trust=Trust.of(config.trusted_proxies, config.origin),
        limits=config.limits,
        admission=Admission(config.server.max_in_flight, config.server.max_streams),
        threads=threads,
        cors=shared,
        compress=config.compress,
        trailing_slash=config.trailing_slash,
        debug=mode == "development",
    )
    if site is not None:
        site.app = app
    if _uses(built, "db"):
        _plug_db(app, config)
    if _uses(built, "store"):
        _plug_store(app)
    if built is None or built.target in _LASTING:
        _plug_tasks(app, config)
    if built is not None and "cache" in built.uses:
        from . import cache as _  # noqa: F401  (no route has been imported yet that would have)
    _plug_cache(app, known)
    _plug_instrumentation(app, app_dir, root)
    _plug_watchers(app, config)
    if _uses(built, "webhooks"):
        _plug_webhooks(mode)
    if config.supabase:
        from .auth.wire import begin

        app.on_startup.append(begin)
    if _uses(built, "auth"):
        if mode == "production":
            app.on_startup.append(auth.begin)
        app.on_shutdown.append(auth.close)
    if (
        built is not None and built.target not in _LASTING and len(app.on_startup) > 1
    ):  # more than trace, which never waits
        app.on_startup.insert(0, need_loop)
    # Last, so that a load that fails leaves the policies of the project that goes on serving.
    if _uses(built, "db"):
        load_policies(root)
    return Project(root, config, manifest, app)


_LASTING = ("server", "container")  # targets whose processes go on between two requests


def _uses(built: Built | None, *parts: str) -> bool:
    """Whether a part has to be set up: each, unless a build knows that the project does without it."""
    return built is None or not set(parts).isdisjoint(built.uses)


def _waiting(built: Built | None, routes: list[Route]) -> list[Route]:
    """*routes* so that each asks for an event loop first, where the target has one only for those that do."""
    if built is not None and built.target not in _LASTING:
        for route in routes:
            route.methods = {method: _in_loop(endpoint) for method, endpoint in route.methods.items()}
    return routes


def _in_loop(endpoint: Endpoint) -> Endpoint:
    async def entered(request: Request) -> Response:
        await need_loop()
        return await endpoint(request)

    return entered


def _route(
    file: RouteFile, root: Path, threads: Threads, shared: Cors | None, built: Built | None, known: Known
) -> Route:
    if built is not None and not built.eager:
        return _later(file, root, threads, shared)
    route = _load_route(file, root, threads, shared, known)
    return _waiting(built, [route])[0] if file.waits else route


def _later(file: RouteFile, root: Path, threads: Threads, shared: Cors | None) -> Route:
    """A route that a build has read: its file is imported when the first request for it comes."""
    constants = file.constants

    def first(method: str) -> Endpoint:
        async def load(request: Request) -> Response:
            found = _load_route(file, root, threads, shared)
            # Whole endpoints take the places of these, so that only the first request pays.
            route.methods, route.allow = {name: entered(each) for name, each in found.methods.items()}, found.allow
            if method not in found.methods:
                raise ConfigError(f"{method} is gone since the build", file=file.file, cure="run turnout build again")
            return to_response(await found.methods[method](request))

        return entered(load)

    def entered(endpoint: Endpoint) -> Endpoint:
        return _in_loop(endpoint) if file.waits else endpoint

    route = Route(
        file.pattern,
        file.file,
        {method: first(method) for method in file.methods},
        body_limit=constants.get("body_limit"),
        max_duration=constants.get("max_duration"),
        cancel_on_disconnect=constants.get("cancel_on_disconnect") is not False,
        cors=Cors.of(constants["cors"]) if "cors" in constants else shared,
    )
    return route


def _load_route(
    file: RouteFile, root: Path, threads: Threads, shared: Cors | None, known: Known | None = None
) -> Route:
    exports = read_exports(load_module(file.file, root), file.file)
    config = exports.config
    with _said_of(file.file):
        chain = _guards(config)
        cors = shared if config.cors is None else Cors.of(config.cors)
        # A kept answer may be given before anything has run only where nothing else has a say.
        alone = not chain and not file.middleware and cors is None
        keeping = _keeping(config, file.pattern.text, known if alone else None)
    chain += cast(list[Middleware], [load_middleware(each, root) for each in file.middleware])
    handlers = cast(list[ErrorHandler], [load_error(each, root) for each in file.errors])

    def endpoint(method: str) -> Call:
        bound = calling(exports.handlers[method], file.pattern, file.file, threads.run)
        keep = keeping if method == "GET" else None
        if chain or handlers or keep is not None:
            bound = responding(bound)
        if keep is not None:
            bound = keep(bound)
        return answering(handlers, compose(chain, bound if method in ("GET", "HEAD", "OPTIONS") else sized(bound)))

    return Route(
        file.pattern,
        file.file,
        {method: endpoint(method) for method in exports.handlers},
        body_limit=config.body_limit,
        max_duration=config.max_duration,
        cancel_on_disconnect=config.cancel_on_disconnect is not False,
        cors=cors,
    )


@contextmanager
def _said_of(file: Path) -> Iterator[None]:
    """Name *file* in what is wrong with a constant or setting of it."""
    try:
        yield
    except ConfigError as exc:
        raise ConfigError(exc.message, file=file, cure=exc.cure) from None


def _guards(config: RouteConfig) -> list[Middleware]:
    """What judges a request before the user's own middleware, and before anybody has read its body."""
    guards: list[Middleware] = []
    if config.auth is not None:
        from .auth.guard import guard

        guards.append(guard(config.auth, auth.settings(), env))
    if config.rate_limit is not None:
        from . import ratelimit

        guards.append(ratelimit.guard(config.rate_limit))
    return guards


def _load_actions(
    config: Config, manifest: Manifest, threads: Threads, shared: Cors | None
) -> tuple[Site | None, list[Route]]:
    """The actions of the project, each at an address of its own, and the script that calls them."""
    if not manifest.actions:
        parts.tell("actions.registry", partial(_no_actions, config))
        return None, []
    from .actions import registry, wire

    before, known = registry.now(), registry.configure(config, env)
    site = wire.Site(_sign_in_page(config))
    try:
        routes = [
            route for file in manifest.actions for route in _load_action_file(file, config.root, threads, shared, site)
        ]
        _check_reserved(manifest, wire.RESERVED)
        if config.mode == "production":
            registry.check_bindings(_own_files(config))
    except BaseException:
        registry.put_back(before)  # the project that goes on serving
        raise
    known.loading = False
    if not known.ids:
        return None, []
    own = Path(wire.__file__)
    routes += [Route(Pattern.parse(pattern), own, methods) for pattern, methods in wire.endpoints().items()]
    return site, routes


def _no_actions(config: Config) -> None:
    from .actions import registry

    registry.configure(config, env).loading = False


def _sign_in_page(config: Config) -> str | None:
    if not config.auth.pages:
        return None
    from .auth.guard import SIGN_IN

    return SIGN_IN


def _load_action_file(
    file: ActionFile, root: Path, threads: Threads, shared: Cors | None, site: Site
) -> Iterator[Route]:
    from .actions import registry, wire
    from .actions.action import PREFIX

    module = load_module(file.file, root)
    config = read_constants(module, file.file)
    if config.cache is not None or config.revalidate:
        raise ConfigError("an action is never kept", file=file.file, cure="put revalidate into the route of the page")
    with _said_of(file.file):
        chain = _guards(config)
        cors = shared if config.cors is None else Cors.of(config.cors)
    chain += cast(list[Middleware], [load_middleware(each, root) for each in file.middleware])
    handlers = cast(list[ErrorHandler], [load_error(each, root) for each in file.errors])
    # Only who is named here: the project's own cors lets pages read answers, and send nothing.
    own = Cors.of(config.cors) if config.cors else None
    allowed = own.origins - {"*"} if own is not None else frozenset[str]()
    for action in registry.add(file.file, module):
        called = compose(chain, sized(wire.calling(action, threads.run)))
        yield Route(
            Pattern.parse(f"{PREFIX}/{action.id}"),
            file.file,
            {"POST": wire.answering(action, called, site, allowed, partial(answering, handlers))},
            body_limit=config.body_limit,
            max_duration=config.max_duration,
            cancel_on_disconnect=config.cancel_on_disconnect is not False,
            cors=cors,
        )


def _check_reserved(manifest: Manifest, reserved: frozenset[str]) -> None:
    for file in manifest.routes:
        first = file.pattern.segments[:1]
        if first and first[0].kind == "static" and first[0].name in reserved:
            raise ConfigError(
                f"/{first[0].name} is answered by Turnout itself", file=file.file, cure="give the folder another name"
            )


def _own_files(config: Config) -> Iterator[Path]:
    """The code and the templates of the project."""
    for folder, pattern in ((config.app_dir, "*.py"), ("lib", "*.py"), ("templates", "*")):
        yield from (file for file in sorted((config.root / folder).rglob(pattern)) if file.is_file())


def _plug_public(config: Config) -> list[Route]:
    """The files of ``public/``; the scanner has seen to it that none is at the place of a route."""
    from . import static

    public = static.configure(config.root / config.public_dir)
    if not public.files:
        return []
    routes = [Route(Pattern.parse(f"{static.PREFIX}/[print]/[...name]"), public.folder, {"GET": public.fingerprinted})]
    for name, path in public.files.items():
        pattern = Pattern(tuple(Segment("static", part) for part in name.split("/")))
        routes.append(Route(pattern, path, {"GET": public.endpoint(name)}))
    return routes


def _keeping(config: RouteConfig, pattern: str, known: Known | None) -> Callable[[Endpoint], Endpoint] | None:
    """What puts the cache around a GET handler; innermost, so that every guard and middleware still judges.

    None for a route whose answers are not kept.
    """
    if not config.cache and not config.revalidate:
        return None
    from .cache import CacheRule, answers

    if config.cache is None:
        rule = CacheRule(cast(int, config.revalidate))
    elif isinstance(config.cache, CacheRule) and config.revalidate is None:
        rule = config.cache
    else:
        raise ConfigError("cache is one CacheRule, and revalidate is part of it", cure="cache = CacheRule(60)")
    return partial(answers().caching, rule, pattern, known=known)


def _plug_cache(app: App, known: Known) -> None:
    """Hear what other processes revalidate; nothing is done where nothing is kept."""
    cache = sys.modules.get(f"{__package__}.cache")
    if cache is not None:
        cache.answers().clear()
        app.kept = None if app.own_terms else cache.answers().at_once(known, app.compress)
        app.on_startup.append(cache.answers().start)
        app.on_shutdown.append(cache.answers().stop)


def _plug_instrumentation(app: App, app_dir: Path, root: Path) -> None:
    """``app/instrumentation.py``, if there is one: begun before the rest of the app, ended after it."""
    file = app_dir / INSTRUMENTATION
    if file.is_file():
        from .instrumentation import Instrumentation

        found = Instrumentation(load_module(file, root), file)
        app.on_startup.insert(0, found.start)
        app.on_shutdown.insert(0, found.stop)
        app.on_error.append(found.hear)


def _plug_metrics(config: Config) -> list[Route]:
    """Where metrics are read. A probe: it is asked for by address, and needed most when there is a crowd."""
    if not config.metrics:
        return []
    from . import metrics

    answer = metrics.endpoint(config.mode, env)
    return [Route(Pattern.parse(metrics.PATH), Path(metrics.__file__), {"GET": answer}, probe=True)]


def _plug_watchers(app: App, config: Config) -> None:
    """Who looks on at every request: metrics, traces, and what says that a handler holds the event loop."""
    counted = None
    if config.metrics:
        from .metrics import metrics

        counted = metrics()
        app.watch(counted)
        app.on_startup.append(counted.start)
        app.on_shutdown.append(counted.stop)
    if counted is not None or config.mode == "development":
        from .stalls import Stalls

        app.watch(Stalls(counted.stall if counted is not None else None))

    async def trace() -> None:
        if "opentelemetry" not in sys.modules:  # asked before it is imported: a cold start has no time for it
            return
        from . import tracing

        watcher = tracing.watcher()
        if watcher is not None:
            app.watch(watcher)
            app.on_error.append(tracing.hear)

    # When the app has started: register() may choose where traces go.
    app.on_startup.append(trace)


def _plug_webhooks(mode: Mode) -> None:
    """Say why a signature failed in development, and nowhere else."""
    if mode == "development" or f"{__package__}.webhooks.diagnose" in sys.modules:
        from .webhooks import diagnose

        diagnose.enabled = mode == "development"


def use_database(config: Config, *, durable: bool) -> None:
    """Point ``db`` at the project's database, in a data folder that exists."""
    from .db import db

    db.configure(config.database_url, durable=durable)
    data = config.root / config.data_dir
    # Only the folder that is ours by name: creating others would hide a mistyped DATABASE_URL.
    if db.path is not None and db.path.is_relative_to(data):
        data.mkdir(parents=True, exist_ok=True)


def use_store(config: Config) -> None:
    """Point ``store`` at ``STORE_URL``; without one, the workers of a production server share a file."""
    from .store import store

    url = env.get("STORE_URL")
    if not url:
        url = f"sqlite:///{config.data_dir}/store.db" if config.mode == "production" else "memory:"
    if url == "memory:" and config.mode == "production" and config.server.workers != 1:
        logger.warning("STORE_URL is memory: every worker counts alone, so a rate limit of 10 is 10 for each of them")
    if url.startswith("sqlite:///"):  # a path in the project, from wherever the command was typed
        url = f"sqlite:///{config.root / url.removeprefix('sqlite:///')}"
    store.configure(url)


def use_templates(root: Path, *, reload: bool) -> Templates:
    """Say where templates are, to whoever asks for one, and the names that all of them know."""
    from . import templates

    return templates.configure(root / "templates", reload=reload, more=_names)


def _names() -> dict[str, Any]:
    from . import static
    from .actions.page import NAMES

    return {"asset": static.asset, **NAMES}


def _plug_mail(config: Config) -> None:
    """How mail is sent, for whoever sends some; it needs nothing before that."""
    origin = config.origin or (None if config.mode == "production" else f"http://localhost:{config.server.port}")
    if config.mail.queued:
        from .mail import queue  # noqa: F401  (loaded here, so that every worker knows its task)
        from .tasks.outbox import require_engine

        require_engine()

    def configure() -> None:
        from . import mail

        mail.configure(config.mail, mode=config.mode, values=env, data=config.root / config.data_dir, origin=origin)

    parts.tell("mail", configure, now=config.mail.sender is not None)


def load_policies(root: Path) -> None:
    """Put the row policies of ``lib/policies.py`` in the place of any others; no file, no policies."""
    file = root / "lib" / "policies.py"
    if not file.is_file() and f"{__package__}.db" not in sys.modules:
        return
    from .db import POLICIES

    with POLICIES.replacing():
        if file.is_file():
            # Not kept: loaded again, it has to declare its policies again.
            sys.modules.pop(load_module(file, root).__name__, None)


def migrations_folder(config: Config) -> Path:
    """Where the migrations are: ``migrations/``, or what Supabase's tools wrote, if that is all there is."""
    folder = config.root / config.migrations_dir
    theirs = config.root / "supabase" / "migrations"
    if config.database_url.startswith("postgres") and not folder.is_dir() and theirs.is_dir():
        return theirs
    return folder


def _plug_wire(config: Config, manifest: Manifest) -> list[Route]:
    """The routes of Supabase's clients, where the project serves them."""
    if not auth.serves_wire(config):
        return []
    from .auth import wire

    served = wire.endpoints(config)
    taken = {file.pattern.text: file.file for file in manifest.routes}
    for pattern in served.keys() & taken.keys():
        raise ConfigError(
            f"{pattern} is answered by Turnout itself",
            file=taken[pattern],
            cure="give the folder another name, or set supabase = false under [tool.turnout]",
        )
    return [Route(Pattern.parse(pattern), Path(wire.__file__), methods) for pattern, methods in served.items()]


def _plug_pages(config: Config, manifest: Manifest) -> list[Route]:
    """The pages to sign in, but those that the project has its own of, and what their mails lead to."""
    if not config.auth.pages and not env.get("TURNOUT_AUTH_KEYS"):  # then nobody signs in
        return []
    from .auth import pages

    own = {file.pattern.text for file in manifest.routes}
    served = {**pages.endpoints(config), **pages.links(config, env)}
    return [
        Route(Pattern.parse(pattern), Path(pages.__file__), methods)
        for pattern, methods in served.items()
        if pattern not in own
    ]


def _unapplied(pending: list[Migration], folder: Path, root: Path) -> ConfigError:
    import shlex

    count = "a migration is" if len(pending) == 1 else f"{len(pending)} migrations are"
    # What was built, or started from elsewhere, has a database of its own unless DATABASE_URL names one.
    where = "" if root == Path.cwd() else f" --root {shlex.quote(os.path.relpath(root))}"
    return ConfigError(
        f"{count} not applied, the first is {pending[0].version}_{pending[0].name}",
        file=folder,
        cure=f"run: turnout db migrate{where}",
    )


def _plug_db(app: App, config: Config) -> None:
    """In production pending migrations stop the start; everywhere the database is closed at the end.

    A PostgreSQL that is away does not: the worker starts, and is ready once it is back.
    """
    folder = migrations_folder(config)
    unseen = config.mode == "production" and folder.is_dir()

    async def check() -> None:
        nonlocal unseen
        from .db import db, migrate

        pending = [each for each in await migrate.status(db, folder) if each.applied_at is None]
        if pending:
            raise _unapplied(pending, folder, config.root)
        unseen = False

    async def begin() -> None:
        try:
            await check()
        except DbError as exc:
            if not exc.retryable:
                raise
            logger.warning("starting without the database: %s", exc)

    async def ready() -> bool:
        from .db import db

        if unseen:
            await check()
        return await db.ready()

    if unseen:
        app.on_startup.append(begin)
    if config.database_url.startswith("postgres"):  # SQLite is a file: asking it would make one where none is used
        app.on_ready.append(ready)
    app.on_shutdown.append(close_database)


async def close_database() -> None:
    """Let go of the connections of ``db``, if anything has imported it."""
    if f"{__package__}.db" in sys.modules:
        from .db import db

        await db.close()


def _load_tasks(root: Path) -> None:
    """Import ``lib/tasks.py``, so that every worker knows tasks that no route names, such as scheduled ones."""
    file = root / "lib" / "tasks.py"
    if file.is_file():
        import_named("lib.tasks", file, root)


def _plug_tasks(app: App, config: Config) -> None:
    """Let the workers run what is enqueued; in tests nothing runs by itself."""
    # A project that has imported nothing of it has no tasks.
    if "turnout.tasks" not in sys.modules:
        return
    from .tasks.task import TASKS, forget_unloaded, own

    forget_unloaded()
    if config.mode == "test" or not TASKS:
        return
    from .tasks import engine

    if any(own(each) for each in TASKS.values()):
        engine.check(TASKS.values(), config)
    plug = engine.Plug(config)
    app.on_startup.append(plug.start)
    app.on_shutdown.append(plug.stop)


def _plug_store(app: App) -> None:
    from .store import store

    app.on_shutdown.append(store.close)
