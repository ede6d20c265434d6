"""What an action takes, read once from its signature, and a request's body turned into it.

Bodies are data: urlencoded, multipart or JSON, converted to the annotated types by the same converters as a route's
query and body (``http/jsontext.py``). No name in a body is looked up anywhere but among the parameters. What HTML
forms cannot say is understood as they mean it: a box that is not ticked is False, an empty field of a number or of
an optional text was left out, and so was a file without name and content.
"""

from __future__ import annotations

import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import Struct

from ..errors import BadRequest, ConfigError, UnsupportedMediaType, ValidationFailed
from ..http import jsontext
from ..http.failures import bare, pointer_to
from ..http.media import is_json
from ..http.request import Request

if TYPE_CHECKING:
    from ..http.form import FormData
    from .action import Action

Kind = Literal["request", "form", "body", "file", "files", "field"]
_NONE = inspect.Parameter.empty
_UNIONS = (typing.Union, types.UnionType)
_TICKED = "on"  # what a browser sends for a ticked box without a value


class Parameter(Struct, frozen=True):
    """One parameter: what fills it, and as what.

    Args:
        default: ``inspect.Parameter.empty`` where it has to be given.
        by_place: Whether it can only be passed by its place.
    """

    name: str
    kind: Kind
    type: Any
    default: Any
    by_place: bool

    @property
    def required(self) -> bool:
        """Whether it has no default."""
        return self.default is _NONE


class Plan:
    """How one action is called."""

    def __init__(self, action: Action, parameters: tuple[Parameter, ...]) -> None:
        self.action, self.parameters = action, parameters
        self._readers: dict[frozenset[str], Reader] = {}
        self.reader(frozenset())  # so that a type which nothing can be read as is an error at load

    def reader(self, bound: frozenset[str]) -> Reader:
        """What reads the parameters that are not *bound*."""
        if bound not in self._readers:
            self._readers[bound] = Reader(self.action, self.parameters, bound)
        return self._readers[bound]

    async def read(self, request: Request, sealed: bytes | None) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of the call, by place and by name.

        Args:
            sealed: The bound arguments as JSON.

        Raises:
            BadRequest, PayloadTooLarge, UnsupportedMediaType: the body cannot be read.
            ValidationFailed: it does not fit; every failure is listed.
        """
        given = {} if sealed is None else self._unsealed(sealed)
        values = await self.reader(frozenset(given)).read(request) | given
        by_place = [values.pop(each.name) for each in self.parameters if each.by_place and each.name in values]
        return by_place, values

    def _unsealed(self, sealed: bytes) -> dict[str, Any]:
        names = frozenset(msgspec.json.decode(sealed, type=dict[str, msgspec.Raw]))
        try:
            return bound_values(self, names, sealed)
        except (TypeError, ValidationFailed):  # sealed before the function was changed
            raise BadRequest("This page is from an older version: load it again", code="invalid_bound") from None


def bound_values(plan: Plan, names: frozenset[str], text: bytes) -> dict[str, Any]:
    """The bound arguments *names* in a JSON *text*, as the types of their parameters.

    Raises:
        TypeError: there is no such parameter, or it is filled by the form as a whole.
        ValidationFailed: a value does not fit.
    """
    found = [each for each in plan.parameters if each.name in names and each.kind == "field"]
    if len(found) != len(names):
        name = sorted(names - {each.name for each in found})[0]
        raise TypeError(f"{plan.action.name} has no parameter {name!r} that could be bound")
    value = jsontext.decoder(_model(plan.action.name, found))(text)
    return {each.name: getattr(value, each.name) for each in found}


def check_bound(action: Action, arguments: dict[str, Any]) -> None:
    """Raise TypeError unless *action* takes *arguments*."""
    try:
        bound_values(plan_of(action), frozenset(arguments), jsontext.dumps(arguments))
    except ValidationFailed as exc:
        what = "; ".join(f"{each['pointer'][1:]}: {each['message']}" for each in exc.errors or ())
        raise TypeError(f"{action.name} cannot be bound: {what}") from None


class Reader:
    """Reads a body into the parameters of *action* that are not *bound*."""

    def __init__(self, action: Action, parameters: tuple[Parameter, ...], bound: frozenset[str]) -> None:
        free = [each for each in parameters if each.name not in bound]
        self.whole = [each for each in free if each.kind in ("request", "form")]
        self.files = [each for each in free if each.kind in ("file", "files")]
        self.fields = [each for each in free if each.kind == "field"]
        self.body = next((each for each in free if each.kind == "body"), None)
        for each in self.fields:
            _check_type(action, each)
        try:
            model = _model(action.name, self.fields)
            self.from_json, self.from_text = jsontext.decoder(model), jsontext.text_converter(model)
            if self.body is not None:
                self.body_from_json = jsontext.decoder(self.body.type)
                self.body_from_text = jsontext.text_converter(self.body.type)
        except ConfigError:
            raise
        except Exception as exc:  # a model may fail in any way of its own, such as a name it cannot resolve
            raise _error(
                action, f"cannot read what is sent to it: {exc}", "annotate it with types that JSON and forms can hold"
            ) from exc

    async def read(self, request: Request) -> dict[str, Any]:
        """The values by name; see ``Plan.read``."""
        if is_json(request.content_type):
            return await self._read_json(request)
        form = await _form_of(request)
        pairs = [(name, value) for name, value in form.items() if isinstance(value, str)]
        values = self._whole(request, form)
        errors: list[dict[str, Any]] = []
        try:
            values |= self._texts(pairs)
        except ValidationFailed as exc:
            errors += exc.errors or ()
        try:
            values |= self._files(form)
        except ValidationFailed as exc:
            errors += exc.errors or ()
        if errors:
            raise _unfit(errors)
        return values

    async def _read_json(self, request: Request) -> dict[str, Any]:
        data = await request.decode_json(jsontext.loads)
        if not isinstance(data, dict):
            raise BadRequest("Send the arguments as one JSON object, by name", code="invalid_json")
        values = self._whole(request, form_of_json(data) if any(each.kind == "form" for each in self.whole) else None)
        if self.body is not None:
            values[self.body.name] = await request.decode_json(self.body_from_json)
        values |= _by_name(self.fields, await request.decode_json(self.from_json))
        for each in self.files:
            if each.required:
                raise _unfit([_missing(each.name)])
            values[each.name] = each.default
        return values

    def _whole(self, request: Request, form: FormData | None) -> dict[str, Any]:
        return {each.name: request if each.kind == "request" else form for each in self.whole}

    def _texts(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self.body is not None:
            values[self.body.name] = self.body_from_text(pairs)
        return values | _by_name(self.fields, self.from_text(as_meant(pairs, self.fields)))

    def _files(self, form: FormData) -> dict[str, Any]:
        values: dict[str, Any] = {}
        errors = []
        for each in self.files:
            found = [value for value in form.get_all(each.name) if not isinstance(value, str)]
            chosen = [upload for upload in found if upload.filename or upload.size]
            if chosen:
                values[each.name] = chosen if each.kind == "files" else chosen[0]
            elif not each.required:
                values[each.name] = each.default
            elif each.kind == "files":
                values[each.name] = []
            else:
                errors.append(_missing(each.name))
        if errors:
            raise _unfit(errors)
        return values


async def _form_of(request: Request) -> FormData:
    from ..http.form import FormData

    if not request.content_type and not await request.bytes():
        return FormData()  # an action without arguments may be called with nothing
    try:
        return await request.form_data()
    except UnsupportedMediaType:
        raise UnsupportedMediaType(
            "Send the arguments as a form (multipart/form-data or application/x-www-form-urlencoded) or as JSON",
            code="unsupported_media_type",
        ) from None


def form_of_json(data: dict[str, Any]) -> FormData:
    """A JSON object as the form that says the same: numbers as their texts, null left out, lists as several values.

    Raises:
        ValidationFailed: a member is an object, or a list in a list.
    """
    from ..http.form import FormData

    form, errors = FormData(), []
    for name, value in data.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, (dict, list)):
                message = "Expected a text, a number or true or false"
                errors.append({"pointer": pointer_to("", name), "message": message, "type": "type"})
            elif each is not None:
                form.append(name, each if isinstance(each, str) else jsontext.dumps(each).decode())
    if errors:
        raise _unfit(errors)
    return form


def as_meant(pairs: list[tuple[str, str]], fields: list[Parameter]) -> list[tuple[str, str]]:
    """The texts of a form as its *fields* mean them."""
    boxes = {each.name for each in fields if bare(each.type) is bool}
    blank = {each.name for each in fields if not _takes_text(each.type) or each.default is None}
    meant = [
        (name, "true" if name in boxes and text == _TICKED else text)
        for name, text in pairs
        if text or name not in blank
    ]
    there = {name for name, _ in meant}
    return meant + [(each.name, "false") for each in fields if each.name in boxes - there and each.required]


def _takes_text(annotation: Any) -> bool:
    annotation = bare(annotation)
    if typing.get_origin(annotation) in _UNIONS:
        return any(map(_takes_text, typing.get_args(annotation)))
    return annotation in (str, Any, object)


def _check_type(action: Action, field: Parameter) -> None:
    """Refuse a type that msgspec leaves to hooks that nobody has given: no value would ever fit."""
    for each in (field.type, *typing.get_args(bare(field.type))):
        try:
            foreign = isinstance(msgspec.inspect.type_info(each), msgspec.inspect.CustomType)
        except Exception:  # an argument that is no type, such as a choice of a Literal
            continue
        if foreign:
            raise _error(
                action,
                f"has a parameter {field.name!r} of a type that no form and no JSON holds: {each!r}",
                "take the texts and make it of them; a pydantic model is the whole form, as body: Model",
            )


def _by_name(fields: list[Parameter], value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields}


def _model(name: str, fields: list[Parameter]) -> type[Struct]:
    """A Struct with *fields* as its members."""

    def default(value: Any) -> Any:
        return msgspec.field(default_factory=lambda: value)  # the very value, as Python itself would pass it

    return msgspec.defstruct(
        name,
        [(each.name, each.type) if each.required else (each.name, each.type, default(each.default)) for each in fields],
        kw_only=True,
    )


def _missing(name: str) -> dict[str, Any]:
    return {"pointer": pointer_to("", name), "message": f"Missing required field `{name}`", "type": "missing"}


def _unfit(errors: list[dict[str, Any]]) -> ValidationFailed:
    count = "1 failure" if len(errors) == 1 else f"{len(errors)} failures"
    return ValidationFailed(f"The input does not have the expected form: {count}", errors=errors)


# -- the signature


def plan_of(action: Action) -> Plan:
    """How *action* is called; its signature is read once.

    Raises:
        ConfigError: a parameter that nothing can fill, or of a type that nothing can be read as.
    """
    if action.plan is None:
        action.plan = Plan(action, tuple(_parameters(action)))
    return action.plan


def _parameters(action: Action) -> list[Parameter]:
    function = action.function
    try:
        hints = typing.get_type_hints(inspect.unwrap(function), include_extras=True)
    except Exception as exc:
        raise _error(
            action,
            f"has an annotation that cannot be resolved: {exc}",
            "import or define the type at the top level of the file, not only under TYPE_CHECKING",
        ) from exc
    found = []
    for each in inspect.signature(function).parameters.values():
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            raise _error(action, f"takes {each}, which nothing fills", "name the parameters")
        annotation = hints.get(each.name, Any)
        kind = _kind(each.name, annotation)
        found.append(Parameter(each.name, kind, annotation, each.default, each.kind is each.POSITIONAL_ONLY))
    if sum(each.kind == "body" for each in found) and any(each.kind == "field" for each in found):
        raise _error(action, "takes body and single fields", "make the fields members of the body's type")
    return found


def _kind(name: str, annotation: Any) -> Kind:
    from ..http.form import FormData, UploadFile

    annotation = bare(annotation)
    if annotation is Request or (name == "request" and annotation is Any):
        return "request"
    if annotation is FormData:
        return "form"
    arguments = [bare(each) for each in typing.get_args(annotation)]
    is_union = typing.get_origin(annotation) in _UNIONS
    if annotation is UploadFile or (is_union and UploadFile in arguments):
        return "file"
    if typing.get_origin(annotation) is list and arguments == [UploadFile]:
        return "files"
    return "body" if name == "body" else "field"


def _error(action: Action, problem: str, cure: str) -> ConfigError:
    return ConfigError(f"the action {action.name} {problem}", file=action.file, line=action.line, cure=cure)
