"""Python types to JSON Schema 2020-12, the named ones kept once under ``components/schemas``.

msgspec writes the schemas of what it decodes, pydantic those of its models. All types of a project are given
to msgspec at once, since only then does it give two classes of one name two names; so ``of`` returns a
dictionary that is filled by ``settle``. Patterns are rewritten from Python's spelling to that of ECMA-262,
which JSON Schema names.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .model import REF, Schema

_REF = REF + "{name}"
_NAMED_GROUP = re.compile(r"\(\?P<")
_is_key = re.compile(r"[A-Za-z0-9._-]+").fullmatch
_DECIMAL = {"type": "string", "format": "decimal"}


class Schemas:
    """The schemas of one contract."""

    def __init__(self) -> None:
        self.components: dict[str, Schema] = {}
        self._asked: list[tuple[Any, Schema]] = []
        self._custom: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of values of type *kind*, one and the same for each type; empty until ``settle``."""
        for known, schema in self._asked:
            if known is kind:
                return schema
        self._asked.append((kind, {}))
        return self._asked[-1][1]

    def settle(self) -> None:
        """Fill every schema that was asked for, and ``components``."""
        kinds = [kind for kind, _ in self._asked]
        found, named = self._written(kinds)
        names = self._short_names(named)
        self.components = {
            names[name]: tidy(schema, names) for name, schema in sorted({**named, **self._custom}.items())
        }
        for (_, schema), made in zip(self._asked, found, strict=True):
            schema.update(tidy(made, names))

    def named(self, name: str, schema: Schema) -> Schema:
        """A schema of our own under *name*, as a reference to it."""
        self._custom[name] = schema
        return {"$ref": REF + name}

    def _written(self, kinds: list[Any]) -> tuple[list[Schema], dict[str, Schema]]:
        try:
            found, named = msgspec.json.schema_components(kinds, schema_hook=self._foreign, ref_template=_REF)
            return list(found), named
        except (TypeError, NameError, RuntimeError):
            pass
        # One that nobody can describe must not take the others with it.
        found_, named_ = [], {}
        for kind in kinds:
            try:
                (schema,), components = msgspec.json.schema_components(
                    [kind], schema_hook=self._foreign, ref_template=_REF
                )
            except (TypeError, NameError, RuntimeError):
                schema, components = {}, {}
            found_.append(schema)
            named_.update(components)
        return found_, named_

    def _foreign(self, kind: Any) -> Schema:
        """The schema of a class that msgspec does not know: a pydantic model's own, or anything."""
        describe = getattr(kind, "model_json_schema", None)
        if describe is None:
            return {}
        # By pydantic's own template the names of models come in the middle.
        schema: Schema = describe(ref_template=REF + "{model}")
        for name, each in schema.pop("$defs", {}).items():
            self._custom.setdefault(name, each)
        name = kind.__name__
        if self._custom.setdefault(name, schema) != schema:
            name = f"{kind.__module__}.{name}"
            self._custom[name] = schema
        return {"$ref": REF + name}

    def _short_names(self, named: dict[str, Schema]) -> dict[str, str]:
        """Component names as OpenAPI takes them: msgspec's own, without a module that is not needed."""
        names: dict[str, str] = {name: name for name in self._custom if _is_key(name)}
        for name in sorted({*named, *self._custom} - set(names)):
            short = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
            at, wanted = 2, short
            while wanted in names.values():
                wanted, at = f"{short}_{at}", at + 1
            names[name] = wanted
        return names


def tidy(schema: Any, names: dict[str, str] | None = None) -> Any:
    """*schema* with patterns in ECMA-262, decimals in both their forms, and references by *names*."""
    if isinstance(schema, list):
        return [tidy(each, names) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if all(schema.get(key) == value for key, value in _DECIMAL.items()):
        # Written as a number, read as either.
        return {"anyOf": [{"type": "number"}, {key: value for key, value in schema.items() if key != "pattern"}]}
    done: Schema = {}
    for key, value in schema.items():
        if key in ("default", "enum", "const", "examples", "example"):
            done[key] = value
        elif key == "properties":
            done[key] = {name: tidy(each, names) for name, each in value.items()}
        elif key == "pattern" and isinstance(value, str):
            done[key] = to_ecma(value)
        elif key == "$ref" and isinstance(value, str):
            name = value.removeprefix(REF)
            done[key] = REF + (names or {}).get(name, name)
        else:
            done[key] = tidy(value, names)
    return done


def to_ecma(pattern: str) -> str:
    r"""*pattern* of Python's ``re`` as ECMA-262 spells it: ``\Z`` and ``\A`` are ``$`` and ``^`` there."""
    text = _NAMED_GROUP.sub("(?<", pattern)
    # An escaped backslash before the letter is no anchor.
    return re.sub(r"\\(.)", lambda found: {"Z": "$", "A": "^"}.get(found[1], found[0]), text, flags=re.DOTALL)
