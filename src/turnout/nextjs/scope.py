"""What is known at a place of one module: what its names are here, and what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct, field

from .names import class_name, snake

if TYPE_CHECKING:
    from .zod import Shape

# What a value is, as far as it decides how its parts are reached: JSON and rows are dicts, a Struct has attributes, the
# answer of another service is httpx's, a "result" is what a query of Supabase's gives, "fields" are Headers and search
# parameters, "parsed" is what safeParse gives, "gone" an error that is raised here, "foreign" what came from a package
# of npm, and "lost" what this file defines without there being a translation.
Kind = Literal[
    "unknown", "dict", "list", "struct", "parsed", "request", "answer", "form", "fields", "cookies", "url", "supabase",
    "db", "env", "error", "gone", "foreign", "lost", "text", "number", "bool", "result",
]  # fmt: skip


class Note(Struct, frozen=True):
    """Something that a person has to look at."""

    line: int
    what: str


class Scope(Struct):
    """Everything that the translation of one module has found out so far.

    Attributes:
        file: The original's path, for messages.
        names: TypeScript's names and the Python for each; an expression, for what has no name here.
        kinds: What they hold.
        bodies: The names that hold the request's whole JSON.
        origins: Variables that are a member of such a body: it, and the member.
        schemas: The zod schemas, and the Struct of each.
        shapes: What is known of those Structs, by name.
        imports: Modules, and the names taken from each; an empty one is the module itself.
        needs: Lines that the module begins with, such as a client for other services.
        request: What the handler calls its request.
        rests: Those of them that are a list.
        params: What the handler calls the mapping of its path's parameters, if it does.
        context: What it calls the object that holds it.
        slugs: The path's parameters, and the Python for each.
        notes: What to look at.
        asyncs: Functions of this module that have to be waited for.
        wary: Whether a function of this module stops somewhere.
        gaps: Whether a schema has fields that may be left out.
        outside: Names that are of the module or of a function around this one.
    """

    file: str
    slugs: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    bodies: set[str] = field(default_factory=set)
    origins: dict[str, tuple[str, str]] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    request: str | None = None
    params: str | None = None
    context: str | None = None
    notes: list[Note] = field(default_factory=list)
    asyncs: set[str] = field(default_factory=set)
    wary: bool = False
    gaps: bool = False
    outside: set[str] = field(default_factory=set)
    rests: set[str] = field(default_factory=set)

    def use(self, module: str, *names: str) -> None:
        """Note that the result imports *names* of *module*, or the module itself."""
        self.imports.setdefault(module, set()).update(names or ("",))

    def need(self, line: str) -> None:
        """Note a line that the module begins with."""
        if line not in self.needs:
            self.needs.append(line)

    def kind(self, name: str) -> Kind:
        """What *name* holds."""
        return self.kinds.get(name, "unknown")

    def named(self, name: str, kind: Kind = "unknown", *, parameter: bool = False) -> str:
        """A name for a variable called *name* there, from now on.

        It is nobody else's: ``user_id`` and ``userId`` are two variables, a block's ``role`` is not the one around
        it, and a body's ``id`` is not the path's. A *parameter* may hide what has its name, as it does there.
        """
        hidden = self.names.get(name) if parameter else None
        taken = {*self.slugs.values(), *(said for said in self.names.values() if said != hidden)}
        said = self.fresh(snake(name), taken)
        self.names[name] = said
        self.kinds[name] = kind
        self.origins.pop(name, None)
        self.bodies.discard(name)
        self.outside.discard(name)
        return said

    def fresh(self, said: str, taken: set[str] | None = None) -> str:
        """*said*, or with a number where that is a variable already."""
        taken = {*self.slugs.values(), *self.names.values()} if taken is None else taken
        number, tried = 1, said
        while tried in taken:
            number += 1
            tried = f"{said}_{number}"
        return tried

    def schema(self, name: str) -> str:
        """The class for the schema called *name* there."""
        self.schemas[name] = class_name(name)
        return self.schemas[name]

    def note(self, line: int, what: str) -> None:
        """Note something for the person who goes on."""
        self.notes.append(Note(line, what))

    def inside(self) -> Scope:
        """The same for a function or a block: its own names, the module's imports and notes."""
        return Scope(
            self.file, self.slugs, dict(self.names), dict(self.kinds), set(self.bodies), dict(self.origins),
            self.schemas, self.shapes, self.imports, self.needs, self.request, self.params, self.context, self.notes,
            self.asyncs, self.wary, self.gaps, set(self.outside), self.rests,
        )  # fmt: skip

    def function(self) -> Scope:
        """The same for a function: what is around it can be read there."""
        inner = self.inside()
        inner.outside |= self.names.keys()
        return inner
