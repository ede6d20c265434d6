"""Calls, ``new`` and the members of well-known things: the request, answers, queries, and JavaScript's own library."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from .kinds import RESPONSES, chain, kind_of, root
from .names import attribute, quoted, snake
from .scope import Scope
from .syntax import Untranslated, arrow_parts, field, has_optional, line, named, string, text, unwrapped, walk

if TYPE_CHECKING:
    from tree_sitter import Node

Say = Callable[..., str]  # expressions.py: a node, the scope and a level, to Python
ATOM = 11


def arguments(node: Node) -> list[Node]:
    """The arguments of a call or a ``new``."""
    found = node.child_by_field_name("arguments")
    return named(found) if found is not None else []


def first(node: Node) -> Node:
    """The first argument of a call or a ``new``."""
    given = arguments(node)
    if not given:
        raise Untranslated(node, "a call without arguments")
    return given[0]


def _alone(node: Node) -> None:
    if len(arguments(node)) != 1:
        raise Untranslated(node, "a second argument")


def number(node: Node, scope: Scope, py: Say) -> str:
    """``Number(x)``: a whole one where it is a text of the path or the query, else what may have a fraction."""
    return f"{'int' if kind_of(node, scope) == 'text' else 'float'}({py(node, scope)})"


def _may_fail(node: Node) -> None:
    """What is no number is NaN there, and raises here: ``Number(x) || 10`` counts on the first."""
    above = node.parent
    while above is not None and above.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        above = above.parent
    if above is None or above.type != "binary_expression" or text(field(above, "operator")) not in ("||", "??"):
        return
    if field(above, "left").end_byte >= node.end_byte:
        raise Untranslated(node, "what is no number raises here")


def is_awaited(node: Node, scope: Scope) -> bool:
    """Whether what is awaited there is awaited here."""
    if node.type != "call_expression":
        return True
    function = unwrapped(field(node, "function"))
    if function.type == "identifier":
        return text(function) not in ("cookies", "headers")
    if function.type != "member_expression":
        return True
    owner, name = unwrapped(field(function, "object")), text(field(function, "property"))
    if text(owner) in scope.schemas:
        return True
    return not (kind_of(owner, scope) == "answer" and name in ("json", "text"))


def is_get(node: Node) -> bool:
    """Whether *node* is ``something.get(name)``."""
    if node.type != "call_expression" or len(arguments(node)) != 1:
        return False
    function = unwrapped(field(node, "function"))
    return function.type == "member_expression" and text(field(function, "property")) == "get"


# -- members

_OF_URL = {
    "searchParams": "search_params", "pathname": "pathname", "origin": "origin", "href": "href", "search": "search",
    "host": "host", "hostname": "hostname",
}  # fmt: skip
_OF_ANSWER = {"ok": "is_success", "status": "status_code", "headers": "headers", "statusText": "reason_phrase"}


def member(owner: Node, name: str, scope: Scope, py: Say) -> str | None:
    """A member of something well known; None of anything else."""
    kind = kind_of(owner, scope)
    if kind == "request":
        if name in ("method", "headers", "cookies", "ip", "signal"):
            return f"request.{name}"
        if name in ("url", "nextUrl"):
            return "request.url" if name == "nextUrl" else "request.url.href"
        raise Untranslated(owner, f"request.{name}: no translation")
    if kind == "url":
        if name not in _OF_URL:
            raise Untranslated(owner, f"{name} of a URL: no translation")
        made = py(owner, scope, ATOM)
        return "request.search_params" if (made, name) == ("request.url", "searchParams") else f"{made}.{_OF_URL[name]}"
    if kind == "answer":
        if name not in _OF_ANSWER:
            raise Untranslated(owner, f"{name} of an answer: no translation")
        return f"{py(owner, scope, ATOM)}.{_OF_ANSWER[name]}"
    if kind == "result":
        if name not in ("data", "count"):
            raise Untranslated(owner, f"{name}: what failed has raised here")
        return f"{py(owner, scope, ATOM)}.{name}"
    if kind == "error" and name == "message":
        return f"str({py(owner, scope)})"
    if name == "value" and is_get(owner) and kind_of(field(field(owner, "function"), "object"), scope) == "cookies":
        return py(owner, scope, ATOM)  # a cookie is its text
    if kind == "parsed":
        if name == "data":
            return py(owner, scope, ATOM)
        raise Untranslated(owner, "a failed check is a 422 by itself, so there is no result to ask")
    return None


# -- calls


def call(node: Node, scope: Scope, py: Say) -> str:
    """A call in Python."""
    function = unwrapped(field(node, "function"))
    if any(child.type == "optional_chain" for child in node.named_children):
        raise Untranslated(node, "?.(): no translation")
    if field(node, "arguments").type == "template_string":
        raise Untranslated(node, "a tagged template")
    if function.type == "identifier":
        return _named_call(node, text(function), scope, py)
    if function.type == "member_expression":
        return _method_call(node, function, scope, py)
    raise Untranslated(node, "a call of something that has no name")


def _plain(nodes: list[Node], scope: Scope, py: Say) -> str:
    return ", ".join(
        "*" + py(named(each)[0], scope, ATOM) if each.type == "spread_element" else py(each, scope) for each in nodes
    )


# Functions that are there without being imported, and have no translation.
_GLOBALS = frozenset(
    [
        "isNaN",
        "isFinite",
        "parseInt",
        "parseFloat",
        "Number",
        "String",
        "Boolean",
        "setTimeout",
        "setInterval",
        "setImmediate",
        "clearTimeout",
        "structuredClone",
        "queueMicrotask",
        "atob",
        "btoa",
        "encodeURI",
        "decodeURI",
        "decodeURIComponent",
        "encodeURIComponent",
        "escape",
        "unescape",
        "require",
        "eval",
        "Symbol",
        "BigInt",
        "Date",
        "Array",
        "Object",
        "RegExp",
        "Promise",
        "Error",
        "import",
        "fetch",
    ]
)
_OURS = {
    "revalidatePath": "revalidate_path", "revalidateTag": "revalidate_tag", "cookies": "cookies", "headers": "headers",
    "createClient": "create_client", "redirect": "redirect", "permanentRedirect": "redirect", "after": "after",
}  # fmt: skip


def _named_call(node: Node, name: str, scope: Scope, py: Say) -> str:
    given = arguments(node)
    if name == "fetch":
        return _fetch(node, given, scope, py)
    if name == "parseInt" and len(given) in (1, 2) and (len(given) == 1 or text(given[1]) == "10"):
        _may_fail(node)
        return f"int({py(given[0], scope)})"
    if name in ("Number", "parseFloat") and len(given) == 1:
        _may_fail(node)
        return number(given[0], scope, py) if name == "Number" else f"float({py(given[0], scope)})"
    if name == "String" and len(given) == 1 and kind_of(given[0], scope) not in ("bool", "list", "dict"):
        return f"str({py(given[0], scope)})"
    if name == "encodeURIComponent" and len(given) == 1:
        scope.use("urllib.parse", "quote")
        return f'quote({py(given[0], scope)}, safe="")'
    if name in _OURS:
        scope.use("turnout", _OURS[name])
        if name in ("redirect", "permanentRedirect") and len(given) != 1:
            raise Untranslated(node, f"{name}() with more than a path")
        if name == "revalidateTag":
            given = given[:1]  # how long it may still be given is of no matter where it ends at once
        if name == "revalidatePath" and len(given) > 1:
            if text(given[1]).strip("\"'") != "page":
                raise Untranslated(node, "revalidatePath() of a layout")
            given = given[:1]
        status = ", 308" if name == "permanentRedirect" else ""
        if name == "createClient" and any("SERVICE_ROLE" in text(each) for each in given):
            scope.imports["turnout"].discard("create_client")
            scope.use("turnout", "create_admin_client")
            return "create_admin_client()" if _parent_awaits(node) else "(await create_admin_client())"
        if name == "createClient":
            return "create_client()" if _parent_awaits(node) else "(await create_client())"
        return f"{_OURS[name]}({_plain(given, scope, py)}{status})"
    if scope.kind(name) == "foreign":
        raise Untranslated(node, f"{name} is from a package of npm")
    if scope.kind(name) == "lost":
        raise Untranslated(node, f"{name} has no translation where it is defined")
    if name in _GLOBALS and name not in scope.names:
        raise Untranslated(node, f"{name}(): no translation")
    if name in scope.asyncs and not _parent_awaits(node):
        return _unwaited(node, f"{scope.names.get(name) or snake(name)}({_plain(given, scope, py)})")
    if name not in scope.names:
        scope.note(line(node), f"{name} is defined nowhere in this file")
    return f"{scope.names.get(name) or snake(name)}({_plain(given, scope, py)})"


def _unwaited(node: Node, said: str) -> str:
    """A call of an async function that nobody awaits: as what is returned it is a promise that is awaited later."""
    above = node.parent
    if above is not None and above.type == "return_statement":
        return f"await {said}"
    if above is not None and _is_gathered(above):
        return said
    raise Untranslated(node, "a promise that is not awaited here")


def _fetch(node: Node, given: list[Node], scope: Scope, py: Say) -> str:
    """``fetch`` by httpx, through one client of the module."""
    options = _options(given[1], node) if len(given) == 2 else {}
    asked = unwrapped(options.pop("method")) if "method" in options else None
    if asked is not None and asked.type != "string":
        raise Untranslated(node, "fetch with a method that is not written out")
    method = string(asked) if asked is not None else "GET"
    words = [py(first(node), scope)]
    headers, body = options.pop("headers", None), options.pop("body", None)
    for name in ("next", "cache", "mode", "credentials"):
        options.pop(name, None)
    if options:
        raise Untranslated(node, f"fetch with {', '.join(options)}")
    if headers is not None:
        words.append(f"headers={py(headers, scope)}")
    if body is not None:
        steps, given_body = chain(body), unwrapped(body)
        if text(root(body)) == "JSON" and steps[0][0] == "stringify" and len(arguments(given_body)) == 1:
            words.append(f"json={py(arguments(given_body)[0], scope)}")
        else:
            words.append(f"content={py(body, scope)}")
    scope.use("httpx")
    scope.need("client = httpx.AsyncClient(timeout=10, follow_redirects=True)")
    if method in ("GET", "DELETE", "HEAD") and body is None:
        return f"client.{method.lower()}({', '.join(words)})"
    return f"client.request({', '.join([quoted(method), *words])})"


def _options(node: Node, call: Node) -> dict[str, Node]:
    """The properties of an object that is written out."""
    node = unwrapped(node)
    if node.type != "object":
        raise Untranslated(call, "options that are not written out")
    found = {}
    for each in named(node):
        if each.type == "shorthand_property_identifier":
            found[text(each)] = each
        elif each.type == "pair" and field(each, "key").type in ("property_identifier", "string"):
            key = field(each, "key")
            found[string(key) if key.type == "string" else text(key)] = field(each, "value")
        else:
            raise Untranslated(call, "options that are not written out")
    return found


def _method_call(node: Node, function: Node, scope: Scope, py: Say) -> str:
    owner, name = unwrapped(field(function, "object")), text(field(function, "property"))
    given = arguments(node)
    if has_optional(function) and not _is_sure(owner, scope):
        raise Untranslated(node, "?. before a call")
    if owner.type == "identifier":
        known = _LIBRARY.get((text(owner), name))
        if known is not None:
            if name not in ("now", "randomUUID"):
                first(node)
            if text(owner) in ("Object", "Array") or name == "parse":
                _alone(node)
            return known(given, scope, py)
        if text(owner) in RESPONSES:
            return _response(node, name, given, scope, py)
        if text(owner) in scope.schemas:
            return _check(node, text(owner), name, given, scope, py)
        if text(owner) == "console":
            return _log(name, given, scope, py)
    if kind_of(root(node), scope) in ("db", "supabase"):
        return _query(node, scope, py)
    kind = kind_of(owner, scope)
    if kind == "request":
        if name not in ("json", "text", "formData", "arrayBuffer", "blob"):
            raise Untranslated(node, f"request.{name}(): no translation")
        return f"request.{ {'formData': 'form_data', 'arrayBuffer': 'bytes', 'blob': 'bytes'}.get(name, name) }()"
    if kind == "answer":
        if name not in ("json", "text"):
            raise Untranslated(node, f"{name}() of an answer: no translation")
        return f"{py(owner, scope, ATOM)}.{'json()' if name == 'json' else 'text'}"
    if text(root(node)) == "stripe":
        if text(function) != "stripe.webhooks.constructEvent":
            raise Untranslated(node, f"{text(function)}(): Stripe's client for Python has other names")
        return f"stripe.Webhook.construct_event({_plain(given, scope, py)})"
    if kind == "cookies" and name == "set":
        return f"{py(owner, scope, ATOM)}.set({', '.join(_cookie(node, given, scope, py))})"
    if kind == "fields" and name == "toString" and not given:
        return f"str({py(owner, scope)})"
    if kind in ("fields", "cookies", "form"):
        return f"{py(owner, scope, ATOM)}.{attribute(name)}({_plain(given, scope, py)})"
    return _value_method(node, owner, name, given, scope, py)


_OF_COOKIE = {
    "httpOnly": "http_only", "secure": "secure", "sameSite": "same_site", "maxAge": "max_age", "path": "path",
    "domain": "domain", "expires": "expires",
}  # fmt: skip


def _cookie(node: Node, given: list[Node], scope: Scope, py: Say) -> list[str]:
    """``name, value, { httpOnly }`` as arguments."""
    if not 2 <= len(given) <= 3:
        raise Untranslated(node, "a cookie of another shape")
    words = [py(each, scope) for each in given[:2]]
    options = _options(given[2], node) if len(given) == 3 else {}
    if not options.keys() <= _OF_COOKIE.keys():
        raise Untranslated(node, f"a cookie with {', '.join(options)}")
    return [*words, *(f"{_OF_COOKIE[name]}={py(value, scope)}" for name, value in options.items())]


def _is_sure(owner: Node, scope: Scope) -> bool:
    return kind_of(owner, scope) in ("fields", "cookies", "request", "db", "supabase")


def _response(node: Node, name: str, given: list[Node], scope: Scope, py: Say) -> str:
    scope.use("turnout", "Response")
    if name == "json":
        if not given:
            raise Untranslated(node, "a call without arguments")
        return f"Response.json({', '.join([py(given[0], scope), *_init(node, given[1:], scope, py)])})"
    if name == "redirect":
        scope.use("turnout", "redirect")
        target = unwrapped(first(node))
        if target.type == "new_expression" and len(arguments(target)) == 2:  # new URL(path, request.url)
            target, base = arguments(target)
            if text(root(base)) != scope.request:
                raise Untranslated(node, "a redirect to another site")
        # The standard's says 302 where nothing is said, Next's says 307.
        status = "302" if text(field(unwrapped(field(node, "function")), "object")) == "Response" else ""
        if len(given) > 1 and unwrapped(given[1]).type == "object":
            [status] = [each.removeprefix("status=") for each in _init(node, given[1:], scope, py)] or [status]
        elif len(given) > 1:
            status = py(given[1], scope)
        if status.startswith("headers"):
            raise Untranslated(node, "a redirect with headers")
        said = py(target, scope)
        words = [said, *([status] if status else []), *(["external=True"] if _is_elsewhere(said) else [])]
        return f"redirect({', '.join(words)})"
    raise Untranslated(node, f"Response.{name}(): no translation")


def _is_elsewhere(target: str) -> bool:
    return target.removeprefix("f").startswith(('"http://', '"https://'))


def _init(node: Node, given: list[Node], scope: Scope, py: Say) -> list[str]:
    """``{ status, headers }`` as keyword arguments."""
    if not given:
        return []
    options = _options(given[0], node)
    options.pop("statusText", None)
    if not options.keys() <= {"status", "headers"}:
        raise Untranslated(node, f"a response with {', '.join(options)}")
    return [f"{name}={py(value, scope)}" for name, value in options.items()]


def _check(node: Node, schema: str, name: str, given: list[Node], scope: Scope, py: Say) -> str:
    """``Schema.parse(body)``: reading the body as the Struct checks it, and a failure is a 422."""
    if name in ("parse", "safeParse", "parseAsync", "safeParseAsync") and len(given) == 1:
        what = unwrapped(given[0])
        whole = text(what) in scope.bodies or _is_body(what, scope)
        if whole:
            read = f"request.json({scope.schemas[schema]})"
            # parse() is not awaited there, reading is here.
            return read if _parent_awaits(node) else f"(await {read})"
        raise Untranslated(node, "a check of something that is not the request's body")
    raise Untranslated(node, f"{schema}.{name}(): no translation")


def _is_body(node: Node, scope: Scope) -> bool:
    if node.type == "await_expression":
        node = unwrapped(named(node)[0])
    return node.type == "call_expression" and chain(node)[-1:] != [] and (
        kind_of(root(node), scope) == "request" and chain(node)[-1][0] == "json"
    )  # fmt: skip


def _parent_awaits(node: Node) -> bool:
    parent = node.parent
    return parent is not None and (parent.type == "await_expression" or _is_gathered(parent))


def _is_gathered(node: Node) -> bool:
    """Whether *node* is the list of a ``Promise.all([...])``."""
    call = node.parent.parent if node.type == "array" and node.parent is not None else None
    return call is not None and text(call).startswith("Promise.all(")


_LEVELS = {"log": "info", "info": "info", "debug": "debug", "warn": "warning", "error": "error"}


def _log(name: str, given: list[Node], scope: Scope, py: Say) -> str:
    scope.use("logging")
    scope.need("logger = logging.getLogger(__name__)")
    level = _LEVELS.get(name, "info")
    if given and unwrapped(given[0]).type == "string":
        words = [quoted(" ".join([string(unwrapped(given[0])).replace("%", "%%"), *["%s"] * len(given[1:])]))]
    else:
        words = [quoted(" ".join(["%s"] * len(given))), py(given[0], scope)] if given else ['""']
    return f"logger.{level}({', '.join([*words, *(py(each, scope) for each in given[1:])])})"


# -- JavaScript's own library

Known = Callable[[list["Node"], Scope, Say], str]


def _of(pattern: str, *imports: str) -> Known:
    """A known function as a pattern of its first argument; *imports* is a module and names of it."""

    def made(given: list[Node], scope: Scope, py: Say) -> str:
        if imports:
            scope.use(*imports)
        return pattern.format(py(given[0], scope) if given else "", _plain(given, scope, py))

    return made


def _stringify(given: list[Node], scope: Scope, py: Say) -> str:
    """As JavaScript writes it, to the byte: a signature may be over it."""
    scope.use("json")
    if len(given) == 3 and text(given[1]) == "null" and given[2].type == "number":
        return f"json.dumps({py(given[0], scope)}, indent={text(given[2])}, ensure_ascii=False)"
    if len(given) != 1:
        raise Untranslated(given[-1], "JSON.stringify() with a function")
    return f'json.dumps({py(given[0], scope)}, separators=(",", ":"), ensure_ascii=False)'


def _gather(given: list[Node], scope: Scope, py: Say) -> str:
    scope.use("asyncio")
    what = unwrapped(given[0])
    if what.type == "array":
        return f"asyncio.gather({_plain(named(what), scope, py)})"
    return f"asyncio.gather(*{py(what, scope, ATOM)})"


_LIBRARY: dict[tuple[str, str], Known] = {
    ("JSON", "stringify"): _stringify,
    ("JSON", "parse"): _of("json.loads({0})", "json"),
    ("Math", "max"): _of("max({1})"),
    ("Math", "min"): _of("min({1})"),
    ("Math", "abs"): _of("abs({0})"),
    ("Math", "floor"): _of("math.floor({0})", "math"),
    ("Math", "ceil"): _of("math.ceil({0})", "math"),
    ("Array", "isArray"): _of("isinstance({0}, list)"),
    ("Object", "keys"): _of("list({0})"),
    ("Object", "values"): _of("list({0}.values())"),
    ("Object", "entries"): _of("list({0}.items())"),
    ("Date", "now"): _of("int(time.time() * 1000)", "time"),
    ("crypto", "randomUUID"): _of("str(uuid4())", "uuid", "uuid4"),
    ("Promise", "all"): _gather,
}

_METHODS = {
    "trim": "{0}.strip()", "toLowerCase": "{0}.lower()", "toUpperCase": "{0}.upper()", "toString": "str({0})",
    "startsWith": "{0}.startswith({1})", "endsWith": "{0}.endswith({1})", "join": "{1}.join({0})",
    "push": "{0}.append({1})", "split": "{0}.split({1})", "replaceAll": "{0}.replace({1})",
    "toISOString": '{0}.isoformat(timespec="milliseconds").replace("+00:00", "Z")',
    "getTime": "int({0}.timestamp() * 1000)", "indexOf": "{0}.find({1})",
}  # fmt: skip
_TAKES = {"trim": 0, "toLowerCase": 0, "toUpperCase": 0, "toString": 0, "replaceAll": 2, "toISOString": 0, "getTime": 0}
# Methods of JavaScript's own values: one that is in no table above has no translation.
_BUILT_IN = frozenset(
    [
        "at",
        "charAt",
        "charCodeAt",
        "codePointAt",
        "concat",
        "copyWithin",
        "endsWith",
        "entries",
        "fill",
        "findIndex",
        "findLast",
        "findLastIndex",
        "flat",
        "flatMap",
        "forEach",
        "join",
        "keys",
        "lastIndexOf",
        "localeCompare",
        "match",
        "matchAll",
        "normalize",
        "padEnd",
        "padStart",
        "pop",
        "push",
        "reduce",
        "reduceRight",
        "repeat",
        "replace",
        "replaceAll",
        "reverse",
        "search",
        "shift",
        "slice",
        "some",
        "every",
        "filter",
        "find",
        "map",
        "sort",
        "splice",
        "split",
        "startsWith",
        "substr",
        "substring",
        "test",
        "exec",
        "toFixed",
        "toPrecision",
        "toLocaleString",
        "toLocaleDateString",
        "toLocaleTimeString",
        "toString",
        "trim",
        "trimEnd",
        "trimStart",
        "toUpperCase",
        "toLowerCase",
        "unshift",
        "values",
        "with",
        "toSorted",
        "toReversed",
        "then",
        "catch",
        "finally",
        "bind",
        "call",
        "apply",
        "hasOwnProperty",
        "getDate",
        "getDay",
        "getFullYear",
        "getHours",
        "getMinutes",
        "getMonth",
        "getSeconds",
        "getMilliseconds",
        "getTimezoneOffset",
        "setDate",
        "setFullYear",
        "setHours",
        "setMinutes",
        "setMonth",
        "setSeconds",
        "setMilliseconds",
        "setTime",
        "toJSON",
        "toDateString",
        "toUTCString",
        "getUTCDate",
        "getUTCDay",
        "getUTCFullYear",
        "getUTCHours",
        "getUTCMonth",
        "valueOf",
        "arrayBuffer",
    ]
)
_WITH_FUNCTIONS = {
    "map": "[{result} for {name} in {items}]",
    "filter": "[{name} for {name} in {items} if {result}]",
    "find": "next(({name} for {name} in {items} if {result}), None)",
    "some": "any({result} for {name} in {items})",
    "every": "all({result} for {name} in {items})",
}


def _value_method(node: Node, owner: Node, name: str, given: list[Node], scope: Scope, py: Say) -> str:
    if name in _WITH_FUNCTIONS and len(given) == 1 and unwrapped(given[0]).type == "arrow_function":
        return _comprehension(owner, name, unwrapped(given[0]), scope, py)
    if name == "slice" and len(given) in (1, 2):
        return f"{py(owner, scope, ATOM)}[{':'.join([*(py(each, scope) for each in given), ''][:2])}]"
    if name in ("replace", "replaceAll") and len(given) == 2:
        old, new = (unwrapped(each) for each in given)
        if old.type != "string" or new.type != "string" or "$" in text(new):
            raise Untranslated(node, f"{name}() of what is not written out")
        once = ", 1" if name == "replace" else ""
        return f"{py(owner, scope, ATOM)}.replace({_plain(given, scope, py)}{once})"
    if name == "toString" and kind_of(owner, scope) in ("bool", "list", "dict"):
        raise Untranslated(node, "toString() of what is no text or number")
    if name in _METHODS and _fits(name, given):
        return _METHODS[name].format(py(owner, scope, ATOM), _plain(given, scope, py) or '","')
    if name in _BUILT_IN:
        raise Untranslated(node, f"{name}(): no translation")
    if kind_of(root(owner), scope) in ("foreign", "lost") or root(owner).type not in ("identifier", "this"):
        raise Untranslated(node, f"{name}(): no translation")
    if text(root(owner)) not in scope.names:
        raise Untranslated(node, f"{text(root(owner))}.{name}(): no translation")
    return f"{py(owner, scope, ATOM)}.{attribute(name)}({_plain(given, scope, py)})"


def _fits(name: str, given: list[Node]) -> bool:
    """Whether the arguments are those for which there is a translation."""
    if any(unwrapped(each).type in ("regex", "arrow_function", "spread_element") for each in given):
        return False
    if name == "split":  # of nothing it is the letters
        return len(given) == 1 and string(unwrapped(given[0])) != ""
    return len(given) == _TAKES.get(name, 1) or (name == "join" and not given)


def _comprehension(owner: Node, name: str, function: Node, scope: Scope, py: Say) -> str:
    parameters, body = arrow_parts(function)
    if len(parameters) != 1 or body.type == "statement_block":
        raise Untranslated(function, "a function inside an expression")
    items, inner = py(owner, scope, 3), scope.inside()
    kind = kind_of(owner, scope)
    said = inner.named(parameters[0], "dict" if kind in ("list", "dict") else "unknown", parameter=True)
    from .expressions import truth

    result = py(body, inner) if name == "map" else truth(body, inner).text
    if any(each.type == "await_expression" for each in walk(body)) or text(function).startswith("async"):
        raise Untranslated(function, "a function inside an expression that waits")
    return _WITH_FUNCTIONS[name].format(result=result, name=said, items=items)


# -- queries

_STEPS = {"from": "from_", "is": "is_", "in": "in_", "or": "or_", "not": "not_"}


def _query(node: Node, scope: Scope, py: Say) -> str:
    """A chain on ``db`` or on Supabase's client; theirs ends with ``execute()``."""
    start = root(node)
    supabase = kind_of(start, scope) == "supabase"
    if not supabase:
        scope.use("turnout", "db")
    steps = [py(start, scope, ATOM)]
    names = [name for name, _ in chain(node)]
    rows = bool(names) and names[0] in ("from", "rpc")
    for name, given in chain(node):
        said = "table" if supabase and name == "from" else _STEPS.get(name) or attribute(name)
        steps.append(said if given is None else f"{said}({_step_arguments(name, given, scope, py)})")
    if supabase and rows:
        steps.append("execute()")
    if not supabase and not rows:
        raise Untranslated(node, f"db.{names[0] if names else ''}: no translation")
    if rows and not _is_whole(node):
        raise Untranslated(node, "a query that is made in steps")
    return ".".join(steps)


def _step_arguments(name: str, given: Node, scope: Scope, py: Say) -> str:
    words = []
    for place, each in enumerate(named(given)):
        inner = unwrapped(each)
        if inner.type == "object" and (name in ("order", "select", "upsert") and (place or name == "order")):
            for option, value in _options(inner, given).items():
                words.append(_option(name, option, value, scope, py))
        else:
            if name in ("insert", "update", "upsert") and scope.gaps and kind_of(inner, scope) in ("struct", "parsed"):
                raise Untranslated(inner, "a Struct has None for what was not sent, and that would be written")
            if name in ("insert", "update", "upsert"):
                _check_written(inner, scope)
            words.append(py(each, scope))
    return ", ".join(words)


def _check_written(node: Node, scope: Scope) -> None:
    """A column for which nothing was sent is left out there, and would be written as null here."""
    for each in walk(node):
        if each.type == "pair":
            value = unwrapped(field(each, "value"))
        elif each.type == "shorthand_property_identifier":
            value = each
        else:
            continue
        of_body = value.type == "member_expression" and text(field(value, "object")) in scope.bodies
        if (of_body or text(value) in scope.origins) and not _is_checked(value):
            raise Untranslated(value, f"{text(value)} may not have been sent, and would be written as null")


def _is_checked(value: Node) -> bool:
    """Whether the function asks ``!value`` somewhere, as those do that need it."""
    around = value.parent
    while around is not None and "function" not in around.type:
        around = around.parent
    return around is not None and re.search(rf"!\s*{re.escape(text(value))}(?![\w.])", text(around)) is not None


def _is_whole(node: Node) -> bool:
    """Whether a query is run where it stands, and not kept to be refined."""
    above = node.parent
    while above is not None and above.type in ("parenthesized_expression", "as_expression", "non_null_expression"):
        above = above.parent
    return above is None or above.type not in ("variable_declarator", "assignment_expression")


def _option(step: str, option: str, value: Node, scope: Scope, py: Say) -> str:
    said = py(value, scope)
    if (step, option) == ("order", "ascending"):
        if said not in ("True", "False"):
            return f"desc=not {said}"
        return f"desc={said == 'False'}"
    return f"{attribute(option)}={said}"


# -- new


def new(node: Node, scope: Scope, py: Say) -> str:
    """A ``new`` expression in Python."""
    name, given = text(field(node, "constructor")), arguments(node)
    if name in RESPONSES:
        scope.use("turnout", "Response")
        body = unwrapped(given[0]) if given else None
        if (
            body is not None
            and body.type == "call_expression"
            and text(field(body, "function")) == "JSON.stringify"
            and (len(arguments(body)) == 1)
        ):
            return _response(node, "json", [arguments(body)[0], *given[1:]], scope, py)
        return f"Response({', '.join([*(py(each, scope) for each in given[:1]), *_init(node, given[1:], scope, py)])})"
    if name == "URL":
        if len(given) == 1 and text(given[0]) == f"{scope.request}.url":
            return "request.url"
        scope.use("turnout", "URL")
        return f"URL({_plain(given, scope, py)})"
    if name == "URLSearchParams":
        scope.use("turnout", "URLSearchParams")
        return f"URLSearchParams({_plain(given, scope, py)})"
    if name == "Headers":
        scope.use("turnout", "Headers")
        return f"Headers({_plain(given, scope, py)})"
    if name == "Date" and not given:
        scope.use("datetime", "UTC", "datetime")
        return "datetime.now(UTC)"
    if name == "Error":
        return f"Exception({_plain(given, scope, py)})"
    raise Untranslated(node, f"new {name}(): no translation")
