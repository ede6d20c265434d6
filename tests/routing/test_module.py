"""Loading a file of the user's and checking what it exports (http.md 1.4, 1.6, 7)."""

from __future__ import annotations

import pickle
import sys
import typing
from pathlib import Path
from textwrap import dedent

import pytest

from turnout.errors import ConfigError
from turnout.routing.module import (
    METHODS,
    Exports,
    importable,
    load_error,
    load_middleware,
    load_module,
    read_exports,
    unload,
)


@pytest.fixture
def root(tmp_path):
    """A project folder whose modules and import path are gone after the test."""
    path = list(sys.path)
    yield tmp_path
    unload(tmp_path)
    sys.path[:] = path


def write(root: Path, file: str, text: str = "") -> Path:
    place = root / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(dedent(text))
    return place


def exports(root: Path, text: str, file: str = "app/api/route.py") -> Exports:
    place = write(root, file, text)
    return read_exports(load_module(place, root), place)


def refusal(root: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        exports(root, text)
    assert caught.value.cure
    assert caught.value.file == root / "app/api/route.py"
    return caught.value


# -- loading (1.6)


def test_a_module_is_named_after_its_folders(root):
    module = load_module(write(root, "app/api/posts/[id]/route.py"), root)

    assert module.__name__.endswith(".api.posts.[id].route")
    assert module.__package__ == module.__name__.removesuffix(".route")
    assert sys.modules[module.__name__] is module


def test_module_names_are_injective(root):
    folders = [
        "a_b",
        "a/b",
        "a.b",
        "a%2Eb",
        "a",
        "route",
        "~route",
        "[id]",
        "[...id]",
        "(a)",
        "route/route",
        "x/a",
        "x",
    ]
    for beside in ("a.py", "x/a.py"):
        write(root, f"app/{beside}")
    files = [write(root, f"app/{folder}/route.py", f"WHERE = {folder!r}") for folder in folders]
    files += [write(root, "app/route.py", "WHERE = ''")]

    modules = [load_module(file, root) for file in files]

    assert [module.WHERE for module in modules] == [*folders, ""]
    assert len({module.__name__ for module in modules}) == len(files)


def test_two_projects_in_one_process_do_not_share_modules(root):
    one = load_module(write(root, "one/app/route.py", "WHERE = 1"), root / "one")
    two = load_module(write(root, "two/app/route.py", "WHERE = 2"), root / "two")

    assert (one.WHERE, two.WHERE) == (1, 2)
    assert one.__name__ != two.__name__


def test_a_module_is_registered_before_it_runs(root):
    module = load_module(
        write(
            root,
            "app/[id]/route.py",
            """
            from __future__ import annotations
            import sys
            from dataclasses import dataclass

            HERE = sys.modules[__name__]

            @dataclass
            class Post:
                other: Post | None = None
            """,
        ),
        root,
    )

    assert module.HERE is module
    assert typing.get_type_hints(module.Post)["other"] == module.Post | None
    assert pickle.loads(pickle.dumps(module.Post())) == module.Post()


def test_a_neighbour_can_be_imported_inside_a_slug_folder(root):
    write(root, "app/posts/[id]/schemas.py", "NAME = 'near'")
    write(root, "app/posts/schemas.py", "NAME = 'above'")
    write(root, "app/posts/_lib/util.py", "NAME = 'private'")
    file = write(
        root,
        "app/posts/[id]/route.py",
        """
        from . import schemas
        from .schemas import NAME
        from ..schemas import NAME as ABOVE
        from .._lib.util import NAME as PRIVATE
        """,
    )

    module = load_module(file, root)

    assert (module.NAME, module.ABOVE, module.PRIVATE) == ("near", "above", "private")


def test_a_file_beside_a_folder_of_its_name_can_be_imported(root):
    write(root, "app/users.py", "NAME = 'helper'")
    users = load_module(write(root, "app/users/route.py"), root)

    module = load_module(write(root, "app/route.py", "from .users import NAME"), root)

    assert module.NAME == "helper"
    assert users.__name__.endswith(".~users.route")


def test_a_route_imported_by_another_is_the_same_module(root):
    write(root, "app/posts/route.py", "POSTS = []")
    below = load_module(write(root, "app/posts/[id]/route.py", "from ..route import POSTS"), root)

    assert load_module(root / "app/posts/route.py", root).POSTS is below.POSTS


def test_the_init_file_of_a_folder_runs_once(root):
    write(root, "app/posts/__init__.py", "NAMES = []")
    write(root, "app/posts/a/route.py", "from .. import NAMES; NAMES.append('a')")
    write(root, "app/posts/b/route.py", "from .. import NAMES; NAMES.append('b')")

    load_module(root / "app/posts/a/route.py", root)
    module = load_module(root / "app/posts/b/route.py", root)

    assert module.NAMES == ["a", "b"]


def test_a_file_is_loaded_once(root):
    file = write(root, "app/route.py", "VALUE = object()")

    assert load_module(file, root) is load_module(file, root)


def test_the_project_is_importable(root):
    write(root, "lib/email_of_project.py", "def send(): return 'sent'")
    file = write(root, "app/route.py", "from lib.email_of_project import send")

    importable(root)
    importable(root)

    assert sys.path[0] == str(root) and sys.path.count(str(root)) == 1
    assert load_module(file, root).send() == "sent"


def test_the_project_loaded_last_comes_first_on_the_import_path(root):
    importable(root / "one")
    importable(root / "two")
    importable(root / "one")

    assert sys.path[:2] == [str(root / "one"), str(root / "two")]


def test_unload_forgets_routes_and_libraries_so_a_change_is_seen(root):
    lib = write(root, "lib_of_project/values.py", "VALUE = 1")
    file = write(root, "app/route.py", "from lib_of_project.values import VALUE")
    importable(root)
    assert load_module(file, root).VALUE == 1
    lib.write_text("VALUE = 222")

    dropped = unload(root)

    assert load_module(file, root).VALUE == 222
    assert {"lib_of_project", "lib_of_project.values"} < set(dropped)
    assert not any(module.VALUE == 222 for module in dropped.values() if hasattr(module, "VALUE"))


def test_unload_leaves_the_rest_alone(root, monkeypatch):
    packages = root / ".venv/lib/python3/site-packages"
    write(packages, "installed_thing.py")
    monkeypatch.syspath_prepend(str(packages))
    thing = __import__("installed_thing")
    before = set(sys.modules)

    unload(root)

    assert set(sys.modules) == before and sys.modules["installed_thing"] is thing


def test_a_module_that_fails_leaves_nothing_behind(root):
    file = write(root, "app/route.py", "1 / 0")
    before = set(sys.modules)
    with pytest.raises(ConfigError):
        load_module(file, root)
    assert not any(name.endswith(".route") for name in set(sys.modules) - before)

    file.write_text("VALUE = 'mended'")

    assert load_module(file, root).VALUE == "mended"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ndef GET(:\n", 2, "SyntaxError"),
        ("x = 1\n\n  y = 2\n", 3, "IndentationError"),
        ("x = 1\n\nraise RuntimeError('no luck')\n", 3, "RuntimeError: no luck"),
        ("\nimport a_package_nobody_has\n", 2, "a_package_nobody_has"),
        ("import json\nx = 1\njson.loads('{')\n", 3, "JSONDecodeError"),
        ("def f():\n    return missing\n\nf()\n", 2, "NameError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        ("from turnout.errors import ConfigError\nraise ConfigError('no key', cure='set KEY')\n", 2, "no key"),
    ],
)
def test_what_a_module_raises_has_its_file_line_and_cure(root, text, line, words):
    found = refusal(root, text)

    assert found.line == line
    assert words in found.message


def test_the_line_is_that_of_the_file_at_fault(root):
    importable(root)
    broken = write(root, "lib_at_fault/broken.py", "x = 1\ny = (\n")
    with pytest.raises(ConfigError, match=r"app/route\.py does not load") as caught:
        load_module(write(root, "app/route.py", "\n\nfrom lib_at_fault.broken import x"), root)
    assert (caught.value.file, caught.value.line) == (broken, 2)

    broken.write_text("x = 1\n\n\ny = 1 / 0\n")

    with pytest.raises(ConfigError) as caught:
        load_module(root / "app/route.py", root)
    assert (caught.value.file, caught.value.line) == (broken, 4)


def test_a_missing_package_says_what_to_install(root):
    assert "install" in str(refusal(root, "import a_package_nobody_has").cure)


def test_a_name_that_is_not_there_is_named_in_the_cure(root):
    assert "import or define 'boolean'" in str(refusal(root, "def GET(pinned: boolean): ...").cure)


def test_a_name_that_a_module_lacks_is_told_from_a_circle(root):
    assert "turnout is there, and has no such name" in str(refusal(root, "from turnout import HTTPException").cure)
    importable(root)
    write(root, "lib_at_fault/one.py", "from lib_at_fault.two import b\na = 1\n")
    write(root, "lib_at_fault/two.py", "from lib_at_fault.one import a\nb = 1\n")
    with pytest.raises(ConfigError) as caught:
        load_module(write(root, "app/route.py", "from lib_at_fault.one import a"), root)
    assert caught.value.cure and "import each other" in caught.value.cure


def test_a_missing_file_of_the_project_says_so(root):
    write(root, "lib/x.py")
    importable(root)

    assert "no such file" in str(refusal(root, "import lib.nothing_here").cure)


def test_ctrl_c_while_loading_is_not_swallowed(root):
    file = write(root, "app/route.py", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_module(file, root)


# -- handlers (1.4)


def test_every_method_may_be_exported(root):
    found = exports(root, "\n".join(f"async def {method}(request): ..." for method in reversed(METHODS)))

    assert tuple(found.handlers) == METHODS


def test_handlers_may_be_sync_decorated_imported_or_callable_objects(root):
    write(root, "app/api/shared.py", "async def handler(request): ...")
    found = exports(
        root,
        """
        import functools
        from .shared import handler as DELETE

        def plain(function):
            @functools.wraps(function)
            async def wrapper(request):
                return await function(request)
            return wrapper

        class Hook:
            async def __call__(self, request): ...

        def GET(request): ...

        @plain
        async def PUT(request): ...

        POST = Hook()
        """,
    )

    assert set(found.handlers) == {"GET", "PUT", "POST", "DELETE"}


@pytest.mark.parametrize("name", ["get", "post", "delete", "Get", "oPTIONS", "Patch"])
def test_a_handler_in_the_wrong_case_is_refused(root, name):
    found = refusal(root, f"\nasync def GET(request): ...\n\nasync def {name}(request): ...\n")

    assert found.line == 4
    assert repr(name) in found.message and name.upper() in str(found.cure)


def test_names_that_only_resemble_methods_are_free(root):
    found = exports(
        root,
        """
        from operator import itemgetter as get
        from dataclasses import dataclass

        @dataclass
        class Post: ...

        options = {"a": 1}
        head = None

        def GET(request): ...
        """,
    )

    assert set(found.handlers) == {"GET"}


def test_a_module_with_no_handler_is_refused(root):
    found = refusal(root, "x = 1")

    assert "no handler" in found.message and "async def GET" in str(found.cure)
    assert found.line == 1


@pytest.mark.parametrize("value", ["1", "None", "'text'", "{'a': 1}", "int"])
def test_a_handler_that_is_not_a_function_is_refused(root, value):
    found = refusal(root, f"\n\nGET = {value}\n")

    assert found.line == 3
    assert "GET" in found.message


def test_a_class_is_no_handler(root):
    found = refusal(root, "import json\n\nclass POST:\n    pass\n")

    assert (found.line, "class POST" in found.message) == (3, True)


# -- constants (7)


def config(root: Path, text: str):
    return exports(root, dedent(text) + "\nasync def GET(request): ...\n").config


def test_route_constants_are_read(root):
    found = config(
        root,
        """
        revalidate = 60
        max_duration = 2.5
        body_limit = "2 MB"
        cors = ["https://a.example"]
        auth = "required"
        rate_limit = "20/min"
        cancel_on_disconnect = False
        """,
    )

    assert (found.revalidate, found.max_duration, found.body_limit) == (60, 2.5, 2_000_000)
    assert (found.cors, found.auth, found.rate_limit) == (["https://a.example"], "required", "20/min")
    assert found.cancel_on_disconnect is False


def test_a_route_that_says_nothing_has_no_constants(root):
    found = config(root, "")

    assert all(getattr(found, name) is None for name in found.__slots__)


@pytest.mark.parametrize(
    ("text", "size"),
    [("512", 512), ("'512'", 512), ("'1kb'", 1_000), ("'1 KiB'", 1_024), ("'10 MB'", 10_000_000), ("'1GiB'", 2**30)],
)
def test_a_body_limit_is_bytes_or_a_text_with_a_unit(root, text, size):
    assert config(root, f"body_limit = {text}").body_limit == size


@pytest.mark.parametrize(
    "text", ["revalidate = False", "revalidate = 0", "max_duration = 1", "cors = True", "cors = {}"]
)
def test_other_values_that_a_constant_may_have(root, text):
    name, _, value = text.partition(" = ")

    assert repr(getattr(config(root, text), name)) == value


@pytest.mark.parametrize(
    "text",
    [
        "revalidate = True",
        "revalidate = -1",
        "revalidate = 1.5",
        "revalidate = '60'",
        "max_duration = 0",
        "max_duration = True",
        "max_duration = '30 s'",
        "max_duration = float('nan')",
        "max_duration = float('inf')",
        "body_limit = '2 parsecs'",
        "body_limit = 0",
        "body_limit = -5",
        "body_limit = True",
        "body_limit = '0'",
        "cors = 5",
        "auth = True",
        "auth = ['admin']",
        "auth = lambda request: True",
        "rate_limit = 20",
        "rate_limit = 'often'",
        "rate_limit = '0/min'",
        "cancel_on_disconnect = 0",
        "cancel_on_disconnect = 'no'",
    ],
)
def test_a_constant_of_the_wrong_type_is_refused(root, text):
    found = refusal(root, f"async def GET(request): ...\n\n{text}\n")

    assert found.line == 3
    assert text.partition(" ")[0] in found.message


def test_a_function_in_the_place_of_a_constant_is_refused(root):
    found = refusal(root, "def auth(request): ...\nasync def GET(request): ...\n")

    assert found.line == 1 and "auth" in found.message


def test_a_helper_imported_under_the_name_of_a_constant_is_no_constant(root):
    found = config(root, "import json as auth\nfrom math import sqrt as rate_limit")

    assert (found.auth, found.rate_limit) == (None, None)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REVALIDATE", "revalidate"),
        ("Auth", "auth"),
        ("CORS", "cors"),
        ("max_durations", "max_duration"),
        ("maxDuration", "max_duration"),
        ("max_duratoin", "max_duration"),
        ("bodylimit", "body_limit"),
        ("body_limits", "body_limit"),
        ("ratelimit", "rate_limit"),
        ("cancel_on_disconect", "cancel_on_disconnect"),
        ("revalidat", "revalidate"),
    ],
)
def test_a_name_that_looks_like_a_constant_is_refused_with_a_hint(root, name, meant):
    found = refusal(root, f"{name} = 60\nasync def GET(request): ...\n")

    assert f"did you mean {meant!r}" in found.message
    assert found.line == 1


def test_words_of_their_own_are_no_look_alikes(root):
    config(
        root,
        """
        author = "Ada"
        core = 1
        colors = ["red"]
        rows = []
        page_limit = 10
        duration = 5
        _max_durations = 3
        REVALIDATE = print
        """,
    )


def test_the_line_is_found_where_the_name_is_bound(root):
    assert refusal(root, "import os\nif os:\n    try:\n        auth = 1\n    finally:\n        pass\n").line == 1
    unload(root)
    found = refusal(root, "async def GET(): ...\nif True:\n    with open(__file__):\n        auth: int = 1\n")
    assert found.line == 4


# -- middleware.py and error.py


def test_middleware_and_error_functions_are_loaded(root):
    middleware = load_middleware(write(root, "app/middleware.py", "async def middleware(request, next): ..."), root)
    error = load_error(write(root, "app/error.py", "async def error(exc, request): ..."), root)

    assert (middleware.__name__, error.__name__) == ("middleware", "error")


@pytest.mark.parametrize("load", [load_middleware, load_error])
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1", 1, "no {} function"),
        ("\ndef {}(one, two): ...", 2, "not an async function"),
        ("\nasync def {}(one): ...", 2, "two arguments"),
        ("\nasync def {}(one, two, three): ...", 2, "two arguments"),
        ("\nasync def {}(one, two):\n    yield 1", 2, "not an async function"),
        ("\n{} = 1", 2, "not an async function"),
    ],
)
def test_a_middleware_or_error_file_with_another_shape_is_refused(root, load, text, line, words):
    name = load.__name__.removeprefix("load_")
    file = write(root, f"app/{name}.py", text.format(name))

    with pytest.raises(ConfigError) as caught:
        load(file, root)

    assert (caught.value.file, caught.value.line) == (file, line)
    assert words.format(name) in caught.value.message
    assert f"async def {name}(" in str(caught.value.cure)
