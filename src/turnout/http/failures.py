"""Every reason why a value does not fit its model, as RFC 9457 ``errors``.

pydantic reports all failures by itself. msgspec stops at the first, which is what makes it fast; so only
when it has refused a value is that value, already decoded, checked again member by member. Pointers follow
RFC 6901. Deciding whether a value fits is not done here: the decoder has the last word.
"""

from __future__ import annotations

import collections.abc
import re
import types
import typing
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

MAX_FAILURES = 100
# What one answer may cost: about 0.1 s of checking again. A megabyte of small faults is not worth more.
MAX_CHECKED_BYTES = 8_000_000

_LISTS: frozenset[Any] = frozenset(
    {list, set, frozenset, collections.abc.Sequence, collections.abc.MutableSequence, collections.abc.Collection}
    | {collections.abc.Set, collections.abc.MutableSet, collections.abc.Iterable}
)
_DICTS: frozenset[Any] = frozenset({dict, collections.abc.Mapping, collections.abc.MutableMapping})
_UNIONS: frozenset[Any] = frozenset({typing.Union, types.UnionType})

# msgspec ends a message in " - at `$.items[0].name`", or in " - at `key` in `$.items`".
_place = re.compile(r" - at (?:`key` in )?`\$([^`]*)`$").search
_step = re.compile(r"\.([^.\[]+)|\[([0-9]+)\]").match

Failure = dict[str, Any]


class Member(NamedTuple):
    """One named member of a model: its name on the wire, its type, and whether it must be there."""

    key: str
    type: Any
    required: bool


def failures(value: Any, model: Any, *, strict: bool = True) -> list[Failure]:
    """List why *value*, plain decoded data, does not fit *model*; empty if it does.

    At most 100 are listed, and checking stops after 8 MB, so a hostile body costs no more than a good one.

    Args:
        strict: False where text may stand for numbers, booleans and null, as in a query.
    """
    walk = _Walk(strict)
    walk.visit(value, model, "")
    return walk.found


def pydantic_failures(exc: Any, value: Any) -> list[Failure]:
    """List what a pydantic ``ValidationError`` holds, with pointers into *value*."""
    return [
        {"pointer": _pointer_of(error["loc"], error["type"], value), "message": error["msg"], "type": error["type"]}
        for error in exc.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAILURES]
    ]


@lru_cache(maxsize=1024)
def members(model: Any) -> tuple[Member, ...] | None:
    """The members of a Struct, dataclass or TypedDict by their names on the wire; None for any other type."""
    model = bare(model)
    origin = typing.get_origin(model) or model
    if not isinstance(origin, type):
        return None
    if issubclass(origin, msgspec.Struct):
        if origin.__struct_config__.array_like:
            return None
        return tuple(Member(field.encode_name, field.type, field.required) for field in msgspec.structs.fields(model))
    if hasattr(origin, "__dataclass_fields__") or typing.is_typeddict(origin):
        hints = {name: _unmarked(hint) for name, hint in typing.get_type_hints(origin, include_extras=True).items()}
        info: Any = msgspec.inspect.type_info(model)
        return tuple(Member(field.encode_name, hints[field.name], field.required) for field in info.fields)
    return None


def _unmarked(hint: Any) -> Any:
    """A member's type without the ``Required`` or ``NotRequired`` that a TypedDict may put around it."""
    return typing.get_args(hint)[0] if typing.get_origin(hint) in (typing.Required, typing.NotRequired) else hint


def bare(model: Any) -> Any:
    """*model* without ``Annotated``, ``NewType`` and alias around it."""
    while True:
        if typing.get_origin(model) is typing.Annotated:
            model = typing.get_args(model)[0]
        elif hasattr(model, "__supertype__"):
            model = model.__supertype__
        elif type(model).__name__ == "TypeAliasType":  # typing's own is new in Python 3.12
            model = model.__value__
        else:
            return model


def takes_list(model: Any) -> bool:
    """Whether *model* is, or may be, an array."""
    model = bare(model)
    origin = typing.get_origin(model) or model
    if origin in _UNIONS:
        return any(takes_list(member) for member in typing.get_args(model))
    return origin in _LISTS or origin is tuple


def takes_dict(model: Any) -> bool:
    """Whether *model* is an object without named members."""
    model = bare(model)
    return (typing.get_origin(model) or model) in _DICTS


def pointer_to(base: str, key: object) -> str:
    """The RFC 6901 pointer to *key* below *base*."""
    return f"{base}/{str(key).replace('~', '~0').replace('/', '~1')}"


class _Walk:
    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.found: list[Failure] = []
        self.left_bytes = MAX_CHECKED_BYTES
        self.decoders: dict[int, tuple[Any, msgspec.json.Decoder[Any]]] = {}

    def visit(self, value: Any, model: Any, pointer: str) -> None:
        """Add the failures of *value*: those of its members, or its own if they have none."""
        if len(self.found) >= MAX_FAILURES or self.left_bytes < 0:
            return
        message = self.refusal(value, model)
        if message is None:
            return
        before = len(self.found)
        self.visit_members(value, bare(model), pointer)
        if len(self.found) == before:
            self.found.append(failure(message, pointer))

    def refusal(self, value: Any, model: Any) -> str | None:
        # As JSON again, not by msgspec.convert, which does not know Raw and so would refuse what the decoder takes.
        text = msgspec.json.encode(value)
        self.left_bytes -= len(text)
        # Keyed by identity, with the type kept alive beside it: not every annotation can be hashed.
        _, decoder = self.decoders.get(id(model)) or (None, None)
        if decoder is None:
            decoder = msgspec.json.Decoder(model, strict=self.strict)
            self.decoders[id(model)] = (model, decoder)
        try:
            decoder.decode(text)
        except msgspec.DecodeError as exc:
            return str(exc)
        return None

    def visit_members(self, value: Any, model: Any, pointer: str) -> None:
        origin, args = typing.get_origin(model) or model, typing.get_args(model)
        if origin in _UNIONS:
            fitting = [member for member in args if _may_hold(value, member)]
            if len(fitting) == 1:
                self.visit_members(value, bare(fitting[0]), pointer)
        elif isinstance(value, dict):
            self.visit_object(value, model, args, pointer)
        elif isinstance(value, list):
            if origin is tuple and args[-1:] != (...,):
                types_of_items = args if len(args) == len(value) else ()
            else:
                types_of_items = args[:1] * len(value) if takes_list(model) else ()
            for index, (item, item_type) in enumerate(zip(value, types_of_items, strict=False)):
                self.visit(item, item_type, f"{pointer}/{index}")

    def visit_object(self, value: dict[str, Any], model: Any, args: tuple[Any, ...], pointer: str) -> None:
        fields = members(model)
        if fields is not None:
            for key, member_type, required in fields:
                if key in value:
                    self.visit(value[key], member_type, pointer_to(pointer, key))
                elif required:
                    self.add(pointer_to(pointer, key), f"Missing required field `{key}`", "missing")
            for key in _unknown(value, model, fields):
                self.add(pointer_to(pointer, key), f"Unknown field `{key}`", "extra_forbidden")
        elif len(args) == 2 and takes_dict(model):
            key_model = dict[args[0], Any]  # type: ignore[valid-type]
            for key, item in value.items():
                message = self.refusal({key: None}, key_model)
                if message is not None:
                    self.add(pointer_to(pointer, key), _split(message)[0], "key")
                self.visit(item, args[1], pointer_to(pointer, key))

    def add(self, pointer: str, message: str, kind: str) -> None:
        if len(self.found) < MAX_FAILURES:
            self.found.append({"pointer": pointer, "message": message, "type": kind})


def _may_hold(value: Any, model: Any) -> bool:
    """Whether *model*, one of a union, is the one that *value* is meant for: its shape fits, and its tag."""
    if isinstance(value, list):
        return takes_list(model)
    if not isinstance(value, dict):
        return False
    config = getattr(typing.get_origin(bare(model)) or bare(model), "__struct_config__", None)
    if config is not None and config.tag is not None:
        return bool(value.get(config.tag_field) == config.tag)
    return takes_dict(model) or members(model) is not None


def _unknown(value: dict[str, Any], model: Any, fields: tuple[Member, ...]) -> list[str]:
    config = getattr(typing.get_origin(model) or model, "__struct_config__", None)
    if config is None or not config.forbid_unknown_fields:
        return []
    known = {field.key for field in fields} | {config.tag_field}
    return [key for key in value if key not in known]


def failure(message: str, base: str = "") -> Failure:
    """msgspec's own message for a value at *base*, as a failure."""
    text, pointer = _split(message)
    return {"pointer": base + pointer, "message": text, "type": _kind(text)}


def _split(message: str) -> tuple[str, str]:
    """Take msgspec's message apart into its text and a pointer, as deep as its path is exact."""
    place = _place(message)
    if place is None:
        return message, ""
    pointer, start = "", 0
    while (step := _step(place[1], start)) is not None:
        pointer, start = pointer_to(pointer, step[1] or step[2]), step.end()
    return message[: place.start()], pointer


def _kind(text: str) -> str:
    if text.startswith("Expected"):
        return "constraint" if " of length " in text or ", got " not in text else "type"
    return "enum" if text.startswith("Invalid enum value") else "value"


def _pointer_of(location: tuple[str | int, ...], kind: str, value: Any) -> str:
    """pydantic's location as a pointer; its names of union members, which are no part of the data, are left out."""
    pointer = ""
    for index, step in enumerate(location):
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_index or (isinstance(value, dict) and step in value):
            value = value[step]
        elif index < len(location) - 1 or kind != "missing":
            continue
        pointer = pointer_to(pointer, step)
    return pointer
