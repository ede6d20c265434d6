"""What is known at a place of one module: what its names are here, and what they hold."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from .names import class_name, snake

# What a value is, as far as it decides how its parts are reached: JSON and rows are dicts, a Struct has attributes, the
# answer of another service is httpx's, "fields" are Headers and search parameters, "parsed" is what safeParse gives,
# "gone" an error that is raised here, and "foreign" what came from a package of npm.
Kind = Literal[
    "unknown", "dict", "list", "struct", "parsed", "request", "answer", "form", "fields", "cookies", "url", "supabase",
    "db", "env", "error", "gone", "foreign",
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
        schemas: The zod schemas, and the Struct of each.
        imports: Modules, and the names taken from each; an empty one is the module itself.
        needs: Lines that the module begins with, such as a client for other services.
        request: What the handler calls its request.
        params: What the handler calls the mapping of its path's parameters, if it does.
        context: What it calls the object that holds it.
        slugs: The path's parameters, and the Python for each.
        notes: What to look at.
    """

    file: str
    slugs: dict[str, str]
    names: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, Kind] = field(default_factory=dict)
    bodies: set[str] = field(default_factory=set)
    schemas: dict[str, str] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)
    needs: list[str] = field(default_factory=list)
    request: str | None = None
    params: str | None = None
    context: str | None = None
    notes: list[Note] = field(default_factory=list)

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

    def named(self, name: str, kind: Kind = "unknown") -> str:
        """A name for a variable called *name* there, from now on."""
        self.names[name] = snake(name)
        self.kinds[name] = kind
        return self.names[name]

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
            self.file, self.slugs, dict(self.names), dict(self.kinds), set(self.bodies), self.schemas, self.imports,
            self.needs, self.request, self.params, self.context, self.notes,
        )  # fmt: skip
