"""JSON in and out, by msgspec.

Follows RFC 8259, strictly: no NaN, no lone surrogates, no byte order mark, no bad UTF-8, no number out of
range, and nothing nested deeper than 64. Whatever is wrong with a body is a 400 with line and column, or a
422 with every failure; it is never another exception. Of equal keys the last wins. NaN and infinite floats
are written as ``null``, as JavaScript does. Why a value does not fit its model is worked out in ``failures.py``.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

import msgspec

from ..errors import BadRequest, ValidationFailed
from . import failures

MAX_DEPTH = 64

_KEEP = b'[]{}"'
_SQUARE = bytes.maketrans(b"{}", b"[]")
_OTHER_BYTES = bytes(sorted(set(range(256)) - set(_KEEP)))
_N, _I = b"NI"
_STEP = {ord("["): 1, ord("]"): -1}
_at_byte = re.compile(r" \(byte ([0-9]+)\)$").search
_is_non_finite = re.compile(r"[+-]?(?:nan|inf(?:inity)?)", re.IGNORECASE).fullmatch
_decode_any = msgspec.json.Decoder().decode
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class JSONObject(dict[str, Any]):
    """An object as a client sent it, checked by no model; the database guards what it may write."""


def loads(data: bytes) -> Any:
    """Decode a JSON text; an object, or each object of an array, is a ``JSONObject``.

    Raises:
        BadRequest: it is not JSON, or nests deeper than 64; *detail* says where.
    """
    _check_depth(data)
    try:
        value = _decode_any(data)
    except _REFUSALS as exc:
        raise _malformed(data, exc) from None
    return _mark(value)


def load_as(data: bytes, model: Any) -> Any:
    """Decode a JSON text straight into *model*; see ``decoder``."""
    return decoder(model)(data)


def decoder(model: Any) -> Callable[[bytes], Any]:
    """Prepare, once a model, the function that decodes a JSON text straight into it.

    Args:
        model: A msgspec Struct, dataclass, TypedDict, pydantic model, or a plain type such as ``list[int]``.

    Raises:
        TypeError: msgspec cannot decode into *model*.

    The function raises BadRequest as ``loads`` does, and ValidationFailed with every failure.
    """
    return _decoder(model)


@lru_cache(maxsize=1024)
def _decoder(model: Any) -> Callable[[bytes], Any]:
    if model in (Any, object):
        return loads
    if _holds_pydantic(model):
        return _pydantic_decoder(model)
    decode = msgspec.json.Decoder(model).decode
    is_open, is_raw = _is_open(model), _is_raw(model)

    def decode_model(data: bytes) -> Any:
        if is_open:
            _check_depth(data)
        try:
            value = decode(data)
        except _REFUSALS as exc:
            untyped = loads(data)  # raises if the text itself is at fault
            raise _unfit(failures.failures(untyped, model) or [failures.failure(str(exc))]) from None
        return _mark(value) if is_raw else value

    return decode_model


def _pydantic_decoder(model: Any) -> Callable[[bytes], Any]:
    from pydantic import TypeAdapter, ValidationError

    validate = TypeAdapter(model).validate_json

    def decode_model(data: bytes) -> Any:
        # First by our rules: pydantic's own parser takes NaN, and nests deeper.
        untyped = loads(data)
        try:
            return validate(data)
        except ValidationError as exc:
            raise _unfit(failures.pydantic_failures(exc, untyped)) from None

    return decode_model


def text_converter(model: Any) -> Callable[[list[tuple[str, str]]], Any]:
    """Prepare, once a model, the function that makes it of the (name, text) pairs of a query or form.

    A text becomes the number, boolean (``true false 1 0``), date and so on that the model asks for. A list member
    takes every text of its name, any other the first. Names that the model does not know are left out, unless it
    forbids them.

    Args:
        model: A msgspec Struct, dataclass, TypedDict, pydantic model, or ``dict[str, ...]``.

    Raises:
        TypeError: *model* has no named members.

    The function raises ValidationFailed with every failure.
    """
    return _text_converters(model)[0]


def flat_converter(model: Any) -> Callable[[dict[str, str]], Any] | None:
    """``text_converter`` for texts that stand by their names already; None where a name may have several."""
    return _text_converters(model)[1]


@lru_cache(maxsize=1024)
def _text_converters(
    model: Any,
) -> tuple[Callable[[list[tuple[str, str]]], Any], Callable[[dict[str, str]], Any] | None]:
    if _holds_pydantic(model):
        return _pydantic_text_converter(model), None
    only_text = False
    make: Callable[..., Any] = msgspec.convert
    if failures.takes_dict(model):
        # Only a dict has keys that may be meant as numbers; the option costs any model a quarter of a microsecond.
        make = partial(msgspec.convert, str_keys=True)
        item_type = (*typing.get_args(failures.bare(model)), str, str)[1]
        every_list, every_float = failures.takes_list(item_type), _mentions(item_type, float)
        lists = floats = frozenset[str]()
    else:
        fields = failures.members(model)
        if fields is None:
            raise TypeError(f"a query or form fills a model with named members, or a dict, not {model!r}")
        every_list = every_float = False
        lists = frozenset(field.key for field in fields if failures.takes_list(field.type))
        floats = frozenset(field.key for field in fields if _mentions(field.type, float))
        # A member that may be text stays text; to say strict=False costs any model half as much again.
        only_text = all(_mentions(field.type, str) and not failures.takes_list(field.type) for field in fields)
    msgspec.convert({}, dict[str, model])  # so that a model that msgspec cannot make raises at load

    def convert(pairs: list[tuple[str, str]]) -> Any:
        flat: dict[str, Any] = dict(pairs)
        if every_list or lists or len(flat) != len(pairs):
            flat = _flat(pairs, None if every_list else lists)
        return convert_flat(flat)

    def convert_flat(flat: dict[str, Any]) -> Any:
        try:
            value = make(flat, model) if only_text else make(flat, model, strict=False)
        except msgspec.ValidationError as exc:
            raise _unfit(failures.failures(flat, model, strict=False) or [failures.failure(str(exc))]) from None
        if floats or every_float:
            _check_finite(flat, None if every_float else floats)
        return value

    return convert, None if every_list or lists else convert_flat


def _flat(pairs: list[tuple[str, str]], lists: frozenset[str] | None) -> dict[str, Any]:
    """All texts of the names in *lists* (of every name, if None), and of any other name the first."""
    flat: dict[str, Any] = {}
    for name, text in pairs:
        if lists is None or name in lists:
            flat.setdefault(name, []).append(text)
        else:
            flat.setdefault(name, text)
    return flat


def _check_finite(flat: dict[str, Any], names: frozenset[str] | None) -> None:
    """Refuse the texts of no finite number, which msgspec reads as floats: JSON has none, so neither has a query."""
    wrong = []
    for name, held in flat.items():
        if (names is None or name in names) and any(map(_is_non_finite, [held] if isinstance(held, str) else held)):
            pointer = failures.pointer_to("", name)
            wrong.append({"pointer": pointer, "message": "Expected a finite number", "type": "type"})
    if wrong:
        raise _unfit(wrong)


def _pydantic_text_converter(model: Any) -> Callable[[list[tuple[str, str]]], Any]:
    from pydantic import TypeAdapter, ValidationError

    validate = TypeAdapter(model).validate_python
    lists = frozenset(
        name
        for field_name, field in getattr(model, "model_fields", {}).items()
        if failures.takes_list(field.annotation)
        for name in (field_name, field.alias, field.validation_alias)
        if isinstance(name, str)
    )

    def convert(pairs: list[tuple[str, str]]) -> Any:
        flat = _flat(pairs, lists)
        try:
            return validate(flat)
        except ValidationError as exc:
            raise _unfit(failures.pydantic_failures(exc, flat)) from None

    return convert


def _unfit(errors: list[failures.Failure]) -> ValidationFailed:
    count = "1 failure" if len(errors) == 1 else f"{len(errors)} failures"
    return ValidationFailed(f"The input does not have the expected form: {count}", errors=errors)


def _holds_pydantic(model: Any) -> bool:
    return hasattr(model, "__pydantic_validator__") or any(map(_holds_pydantic, typing.get_args(model)))


def _mentions(model: Any, wanted: type) -> bool:
    model = failures.bare(model)
    return model is wanted or any(_mentions(argument, wanted) for argument in typing.get_args(model))


def _is_raw(model: Any) -> bool:
    """Whether *model* lets a client's own objects through: a dict, or arrays and unions of one."""
    model = failures.bare(model)
    if model in (Any, object) or failures.takes_dict(model):
        return True
    arguments = typing.get_args(model)
    return any(map(_is_raw, arguments)) if arguments else failures.takes_list(model)


def _is_open(model: Any) -> bool:
    """Whether *model* sets no bound to nesting: it holds Any or itself somewhere."""
    return _has_no_bound(msgspec.inspect.type_info(model), [], set())


def _has_no_bound(node: Any, above: list[int], done: set[int]) -> bool:
    if isinstance(node, tuple):
        return any(_has_no_bound(item, above, done) for item in node)
    if isinstance(node, msgspec.inspect.Field):
        return _has_no_bound(node.type, above, done)
    if not isinstance(node, msgspec.inspect.Type) or id(node) in done:
        return False
    if id(node) in above or isinstance(
        node, (msgspec.inspect.AnyType, msgspec.inspect.RawType, msgspec.inspect.CustomType)
    ):
        return True
    found = any(_has_no_bound(getattr(node, name), [*above, id(node)], done) for name in node.__struct_fields__)
    done.add(id(node))
    return found


def _mark(value: Any) -> Any:
    if type(value) is dict:
        return JSONObject(value)
    if type(value) is list:
        for index, item in enumerate(value):
            if type(item) is dict:
                value[index] = JSONObject(item)
    return value


# --- depth


def _check_depth(data: bytes) -> None:
    # Most bodies have fewer brackets than levels allowed: then nothing else need be counted.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH and _is_deep(_brackets(data)):
        raise _too_deep()


def _too_deep() -> BadRequest:
    return BadRequest(f"Invalid JSON: nested deeper than {MAX_DEPTH} levels", code="invalid_json")


def _brackets(data: bytes) -> bytes:
    """The brackets of *data* outside its strings, braces written as square ones."""
    # Strings go before anything is cancelled: a "]" in a string would cancel a real "[" and hide a level.
    if b'\\"' in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    data = data.translate(_SQUARE, _OTHER_BYTES).replace(b'""', b"")
    return b"".join(data.split(b'"')[::2]) if b'"' in data else data


def _is_deep(brackets: bytes) -> bool:
    rest, rounds = _cancel(brackets)
    # A round takes off one level at most, so this many is the deepest that it can have been.
    if rest.count(b"[") + rounds <= MAX_DEPTH:
        return False
    return any(depth > MAX_DEPTH for depth in accumulate(map(_STEP.__getitem__, brackets)))


def _cancel(brackets: bytes) -> tuple[bytes, int]:
    """Take off innermost pairs, level by level, while that pays; what is left, and the rounds taken."""
    rounds = 0
    while brackets and rounds < 8:
        before = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        rounds += 1
        if before - len(brackets) < before / 10:
            break
    return brackets, rounds


# --- what is wrong with a text


def _malformed(data: bytes, exc: Exception) -> BadRequest:
    if isinstance(exc, RecursionError):
        return _too_deep()
    text, offset = _fault(data, exc)
    where = "" if offset is None else " at line {}, column {}".format(*_line_and_column(data, offset))
    return BadRequest(f"Invalid JSON: {text}{where}", code="invalid_json")


def _fault(data: bytes, exc: Exception) -> tuple[str, int | None]:
    """What is wrong, and at which byte if that is known."""
    if not data.strip(b" \t\r\n"):
        return "the body is empty", None
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return "it starts with a byte order mark; send UTF-8 without one", None
    if isinstance(exc, UnicodeDecodeError):
        try:
            data.decode()
        except UnicodeDecodeError as whole:  # msgspec counts from the start of the string
            return "not UTF-8", whole.start
        return "not UTF-8", None
    message = str(exc)
    at = _at_byte(message)
    if at is not None:
        return message[: at.start()].removeprefix("JSON is malformed: "), int(at[1])
    if isinstance(exc, msgspec.ValidationError):
        return "a number is out of range", None
    return "it ends too early", len(data)


def _line_and_column(data: bytes, offset: int) -> tuple[int, int]:
    """Both counted from 1, columns in characters."""
    start = data.rfind(b"\n", 0, offset) + 1
    return data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode(errors="replace")) + 1


# --- writing


def dumps(value: Any) -> bytes:
    """Encode *value* as JSON.

    datetime, date, time, timedelta, UUID, Enum, dataclass, Struct and pydantic models are written as their
    plain forms, Decimal as a number, bytes as base64, NaN and infinite floats as ``null``.

    Raises:
        TypeError: something in *value* has no JSON form; the message names its path.
    """
    try:
        text = _encode(value)
    except RecursionError as exc:
        raise TypeError("value cannot be written as JSON: it nests too deeply, or holds itself") from exc
    except Exception as exc:
        # Any exception: a pydantic serializer may raise its own.
        raise TypeError(_misfit(value, "value")) from exc
    # Decimal("NaN") is written as NaN, which is not JSON. One byte is looked for first: that is ten times quicker.
    if (_N in text or _I in text) and (b"NaN" in text or b"Infinity" in text) and not _is_json(text):
        raise TypeError(_misfit(value, "value"))
    return text


def _encode_other(value: Any) -> Any:
    if hasattr(type(value), "__pydantic_serializer__"):
        return value.model_dump(mode="json")
    if hasattr(type(value), "__await__"):
        raise TypeError("it was not awaited; write await before what gave it")
    raise TypeError("no JSON form is known for it")


_encode = msgspec.json.Encoder(enc_hook=_encode_other, decimal_format="number").encode


def _is_json(text: bytes) -> bool:
    try:
        _decode_any(text)
    except (msgspec.ValidationError, RecursionError):  # a number beyond our floats, or deep nesting, is still JSON
        return True
    except msgspec.DecodeError:
        return False
    return True


def _reason(value: Any) -> str | None:
    """Why *value* cannot be written, or None if it can."""
    try:
        text = _encode(value)
    except Exception as exc:
        return str(exc)
    return None if _is_json(text) else "it is not a number that JSON has"


def _misfit(value: Any, path: str) -> str:
    """Say what cannot be written, by its path: the first that fails while all its own parts can be written."""
    for step, part in _parts(value):
        if _reason(part) is not None:
            return _misfit(part, path + step)
    if isinstance(value, dict):
        for key in value:
            if (reason := _reason({key: None})) is not None:
                return f"{path}: the key {key!r} cannot be written as JSON: {reason}"
    return f"{path}: {type(value)} cannot be written as JSON: {_reason(value)}"


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f'["{key}"]' if isinstance(key, str) else f"[{key!r}]", item
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield f".{name}", getattr(value, name)
    elif hasattr(value, "__dataclass_fields__"):
        import dataclasses

        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name)
