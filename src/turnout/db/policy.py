"""Row policies: which rows of a table a role may see, add, change and remove.

    from turnout.db import policy, col, uid

    policy("posts", for_="select", to=("anon", "authenticated"), using=col("published") == True)
    policy("posts", for_="all", to="authenticated", using=col("author_id") == uid())

The words and their meaning are those of PostgreSQL's CREATE POLICY
(https://www.postgresql.org/docs/current/sql-createpolicy.html), permissive only: policies of one
command and role are joined by OR, and where there is none, nothing is allowed. On SQLite the
planner adds them to every table that a scoped query touches; on PostgreSQL the database has its
own, and these are only the text from which ``turnout db policies`` prints CREATE POLICY. What a
predicate looks like in SQL is in ``sql/policies.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, cast

from msgspec import Struct

from ..errors import ConfigError
from . import ast
from .errors import error
from .schema import NAME, Column, Schema, Table
from .scope import BYPASS, Scope

Command = Literal["select", "insert", "update", "delete"]
Op = Literal["eq", "neq", "gt", "gte", "lt", "lte"]
COMMANDS: tuple[Command, ...] = ("select", "insert", "update", "delete")


# --- predicates as they are written ---


class Predicate:
    """Something that is true, false or unknown of a row; join with ``&`` and ``|``, negate with ``~``."""

    __slots__ = ()

    def __and__(self, other: Predicate) -> Predicate:
        return Joined("and", (self, _predicate(other)))

    def __or__(self, other: Predicate) -> Predicate:
        return Joined("or", (self, _predicate(other)))

    def __invert__(self) -> Predicate:
        return Not(self)

    def __bool__(self) -> bool:
        # "a and b" would silently drop a, and "not a" would be False for ever.
        raise TypeError("a policy is joined by & and |, with parentheses, and negated by ~: not by and, or, not, in")


class Operand:
    """What can be compared: a column, a claim, the user's id."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Predicate:  # type: ignore[override]
        return _compare("eq", self, other)

    def __ne__(self, other: object) -> Predicate:  # type: ignore[override]
        return _compare("neq", self, other)

    def __gt__(self, other: object) -> Predicate:
        return _compare("gt", self, other)

    def __ge__(self, other: object) -> Predicate:
        return _compare("gte", self, other)

    def __lt__(self, other: object) -> Predicate:
        return _compare("lt", self, other)

    def __le__(self, other: object) -> Predicate:
        return _compare("lte", self, other)

    def in_(self, values: Iterable[Any] | Claim) -> Predicate:
        """It is one of *values*, or of the list in a claim; a claim that is no list is a list of one."""
        if isinstance(values, Claim):
            return In(self, values)
        if isinstance(values, (str, bytes, Operand)):
            raise ConfigError("in_ takes a list of values or a claim", cure='col("state").in_(["open", "done"])')
        return In(self, tuple(values))

    def is_null(self) -> Predicate:
        """It is NULL, or the claim is not there."""
        return Null(self)

    def is_not_null(self) -> Predicate:
        """It is not NULL."""
        return Not(Null(self))


class Col(Operand, Struct, frozen=True, eq=False):
    """A column; *outer* means of the table around an ``exists``."""

    name: str
    outer: bool = False


class Claim(Operand, Struct, frozen=True, eq=False):
    """A claim of the user's token, by its path."""

    path: tuple[str, ...]


class Literal_(Operand, Struct, frozen=True, eq=False):
    """A value written in the policy."""

    value: Any


class Compare(Predicate, Struct, frozen=True, eq=False):
    """*left* *op* *right*; unknown if either is NULL."""

    op: Op
    left: Operand
    right: Operand


class In(Predicate, Struct, frozen=True, eq=False):
    """*left* is one of *values*."""

    left: Operand
    values: tuple[Any, ...] | Claim


class Null(Predicate, Struct, frozen=True, eq=False):
    """*left* is NULL."""

    left: Operand


class Joined(Predicate, Struct, frozen=True, eq=False):
    """Predicates joined by one word; none means true for ``and``, false for ``or``."""

    kind: Literal["and", "or"]
    items: tuple[Predicate, ...]


class Not(Predicate, Struct, frozen=True, eq=False):
    """The opposite."""

    item: Predicate


class Exists(Predicate, Struct, frozen=True, eq=False):
    """There is a row of *table* of which *where* is true."""

    table: str
    where: Predicate


ALWAYS, NEVER = Joined("and", ()), Joined("or", ())


def col(name: str) -> Col:
    """The column *name* of the policy's table, or of the table of the ``exists`` around it."""
    return Col(name)


def outer(name: str) -> Col:
    """Inside ``exists``: the column *name* of the table outside."""
    return Col(name, outer=True)


def uid() -> Claim:
    """The id of the user who asks: the claim ``sub``; NULL for a visitor who is not signed in."""
    return Claim(("sub",))


def role() -> Claim:
    """The role that asks."""
    return Claim(("role",))


def claim(path: str) -> Claim:
    """A claim of the user's token, ``claim("app_metadata.org")``; NULL where there is none."""
    steps = tuple(path.split("."))
    if not all(NAME.match(step) for step in steps):
        raise ConfigError(f"{path!r} is not the path of a claim", cure='claim("app_metadata.org")')
    if steps[0] == "user_metadata":
        raise ConfigError(
            "user_metadata is written by the user, so a policy must not believe it",
            cure='keep what decides about access in app_metadata: claim("app_metadata.org")',
        )
    return Claim(steps)


def exists(table: str, *where: Predicate) -> Predicate:
    """There is a row of *table* for which every condition holds, and which the user may see.

    ``exists("members", col("org_id") == outer("org_id"), col("user_id") == uid())``: inside, ``col``
    is a column of ``members`` and ``outer`` one of the table around it.
    """
    return Exists(table, Joined("and", tuple(_predicate(item) for item in where)))


def _predicate(value: Any) -> Predicate:
    if isinstance(value, bool):
        return ALWAYS if value else NEVER
    if not isinstance(value, Predicate):
        raise ConfigError(
            f"a policy is made of comparisons, and {type(value).__name__} is none",
            cure='write col("published") == True, and put each comparison beside & or | in parentheses',
        )
    return value


def _compare(op: Op, left: Operand, right: object) -> Predicate:
    if right is None:
        raise ConfigError("a comparison with None matches nothing in SQL", cure='col("deleted_at").is_null()')
    if isinstance(right, Predicate):
        raise ConfigError("a comparison is compared", cure="put parentheses around each comparison beside & or |")
    return Compare(op, left, right if isinstance(right, Operand) else Literal_(right))


# --- policies ---


class Policy(Struct, frozen=True, eq=False):
    """One policy: *using* says which existing rows count, *check* which new ones are allowed."""

    table: str
    command: Command | Literal["all"]
    roles: tuple[str, ...]
    using: Predicate | None
    check: Predicate | None

    def applies(self, command: Command, role: str) -> bool:
        """Whether it has a say when *role* does *command*."""
        return self.command in ("all", command) and (role in self.roles or "public" in self.roles)


class Policies:
    """The policies of the program, by table; *version* changes whenever they do."""

    def __init__(self) -> None:
        self.version = 0
        self.by_table: dict[str, tuple[Policy, ...]] = {}
        self._collecting: dict[str, tuple[Policy, ...]] | None = None

    def __iter__(self) -> Iterator[Policy]:
        return (policy for table in self.by_table.values() for policy in table)

    def add(self, policy: Policy) -> None:
        """Let *policy* hold from now on, or from the end of :meth:`replacing`."""
        target = self.by_table if self._collecting is None else self._collecting
        target[policy.table] = (*target.get(policy.table, ()), policy)
        self.version += 1

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Put the policies made inside in the place of all others at its end, or of none if it raises."""
        self._collecting = {}
        try:
            yield
            self.by_table = self._collecting
            self.version += 1
        finally:
            self._collecting = None

    def of(self, table: str, command: Command, role: str) -> list[Policy]:
        """Those that have a say when *role* does *command* on *table*."""
        return [policy for policy in self.by_table.get(table, ()) if policy.applies(command, role)]


POLICIES = Policies()


def policy(
    table: str,
    *,
    for_: Command | Literal["all"] = "all",
    to: str | Sequence[str],
    using: Predicate | bool | None = None,
    check: Predicate | bool | None = None,
) -> Policy:
    """Allow *to* to do *for_* on the rows of *table* that match.

    Args:
        table: A table or view. One without a policy shows no row and takes none.
        for_: ``select``, ``insert``, ``update``, ``delete`` or ``all``.
        to: One role or several; ``public`` is every role.
        using: Which existing rows are seen, changed and removed.
        check: Which rows may result from an insert or update; the same as *using* if left out.

    Raises:
        ConfigError: a word that is none, or a part that the command does not have.
    """
    roles = (to,) if isinstance(to, str) else tuple(to)
    wrong = _mistake(table, for_, roles, using, check)
    if wrong is not None:
        file, line = _place()
        raise ConfigError(wrong[0], file=file, line=line, cure=wrong[1])
    first = None if using is None else _predicate(using)
    second = first if check is None else _predicate(check)
    if for_ in ("select", "delete"):
        second = None
    found = Policy(table, for_, roles, first, second)
    POLICIES.add(found)
    return found


def _mistake(table: str, command: str, roles: tuple[str, ...], using: object, check: object) -> tuple[str, str] | None:
    if command not in (*COMMANDS, "all"):
        return f"for_={command!r} is no command", f"one of {', '.join((*COMMANDS, 'all'))}"
    if not roles or not all(isinstance(role, str) and NAME.match(role) for role in roles):
        return f"to={roles!r} names no role", 'to="authenticated", or to=("anon", "authenticated")'
    if "service_role" in roles:
        return "service_role is above every policy", "leave it out of to="
    if command == "insert" and (using is not None or check is None):
        return f"the insert policy of {table!r} needs check= and takes no using=", "a new row is only checked"
    if command != "insert" and using is None:
        return f"the {command} policy of {table!r} needs using=", "using=True means every row"
    if command in ("select", "delete") and check is not None:
        return f"the {command} policy of {table!r} takes no check=", "no row results from it: leave check= out"
    return None


def _place() -> tuple[str, int]:
    frame = sys._getframe(2)
    return frame.f_code.co_filename, frame.f_lineno


# --- scoped queries on their way ---


def scoped(shape: tuple[Any, ...], values: tuple[Any, ...], scope: Scope) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The query as one of *scope*: its role and the policies' version in the shape, which is the key of
    the compiled statement, and the scope itself as the last value, from which claims are bound."""
    if scope.role == BYPASS:
        return shape, values
    refuse_beside(shape, scope)
    return (*shape, ("scope", scope.role, POLICIES.version)), (*values, scope)


def refuse_beside(shape: tuple[Any, ...], scope: Scope) -> None:
    """Raise for what would get past the policies of *scope*."""
    if scope.role == BYPASS:
        return
    if shape[0][0] == "sql":
        raise error("42501", "sql() knows no row policies, so a scoped query may not use it", hint="use the builder")
    if any(step[0] == "explain" for step in shape):
        # Its estimates are made of every row's statistics.
        raise error("42501", "explain() tells of rows that policies hide, so a scoped query may not use it")


def role_of(shape: tuple[Any, ...]) -> str | None:
    """The role whose policies hold for *shape*, or None."""
    return shape[-1][1] if shape[-1][0] == "scope" else None


def bare(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """*shape* as the builder made it."""
    return shape[:-1] if shape[-1][0] == "scope" else shape


def reads(statement: ast.Statement) -> bool:
    """Whether it looks at existing rows or gives rows back, so that SELECT policies have a say too.

    Source: https://www.postgresql.org/docs/current/sql-createpolicy.html#SQL-CREATEPOLICY-SUMMARY
    """
    if isinstance(statement, ast.Select):
        return True
    if statement.returning is not None:
        return True
    return not isinstance(statement, ast.Insert) and bool(statement.where.items)


# --- predicates whose names exist ---


class Place(Struct, frozen=True, eq=False):
    """A column of the table *up* levels outside the predicate's own."""

    column: Column
    up: int


Side = Place | Claim | Literal_


class Compared(Struct, frozen=True, eq=False):
    """A comparison of two sides."""

    op: Op
    left: Side
    right: Side


class Member(Struct, frozen=True, eq=False):
    """A side is in a list."""

    left: Side
    values: tuple[Any, ...] | Claim


class IsNull(Struct, frozen=True, eq=False):
    """A side is NULL."""

    left: Side


class All(Struct, frozen=True, eq=False):
    """Nodes joined by one word."""

    kind: Literal["and", "or"]
    items: tuple[Node, ...]


class Opposite(Struct, frozen=True, eq=False):
    """Not the node."""

    item: Node


class Some(Struct, frozen=True, eq=False):
    """A row of *table* satisfies *where*."""

    table: Table
    where: Node


Node = Compared | Member | IsNull | All | Opposite | Some


class Guard(Struct, frozen=True, eq=False):
    """A condition that the policies put on the rows of one table."""

    node: Node

    @property
    def open(self) -> bool:
        """It lets every row pass."""
        return isinstance(self.node, All) and self.node.kind == "and" and not self.node.items

    @property
    def closed(self) -> bool:
        """It lets no row pass: there is no policy."""
        return isinstance(self.node, All) and self.node.kind == "or" and not self.node.items


def guard(
    table: Table, schema: Schema, role: str, command: Command, part: Literal["using", "check"] = "using"
) -> Guard:
    """What the policies demand of the rows of *table* when *role* does *command*; with no policy, the impossible."""
    return Guard(_Resolver(schema, role).table(table, command, part))


def resolve(predicate: Predicate, table: Table, schema: Schema) -> Node:
    """*predicate* of *table* with every name looked up; the tables inside ``exists`` are left open.

    This is what CREATE POLICY is printed from: there the database itself adds their policies.
    """
    return _Resolver(schema, None).node(predicate, (table,))


def guards(table: Table, schema: Schema, role: str | None, statement: ast.Statement | None = None) -> tuple[Guard, ...]:
    """The conditions on the rows of *table* that *statement* may touch; those of a read if None."""
    if role is None:
        return ()
    commands: list[Command] = []
    if statement is None or reads(statement):
        commands.append("select")
    if isinstance(statement, ast.Update):
        commands.append("update")
    if isinstance(statement, ast.Delete):
        commands.append("delete")
    return tuple(guard(table, schema, role, command) for command in commands)


class _Resolver:
    """Looks up the names of predicates; *role* None leaves the tables inside ``exists`` open."""

    def __init__(self, schema: Schema, role: str | None) -> None:
        self.schema, self.role = schema, role
        self.asked: list[str] = []  # the tables whose policies are being resolved, outermost first

    def table(self, table: Table, command: Command, part: Literal["using", "check"]) -> Node:
        if self.role is None:
            return All("and", ())
        if table.name in self.asked:
            raise error(
                "42P17", f'infinite recursion detected in policy for relation "{table.name}"',
                hint=" -> ".join((*self.asked, table.name)), status=500,
            )  # fmt: skip
        self.asked.append(table.name)
        found = POLICIES.of(table.name, command, self.role)
        parts = [cast("Predicate", each.using if part == "using" else each.check) for each in found]
        nodes = tuple(self.node(each, (table,)) for each in parts)
        self.asked.pop()
        if any(Guard(node).open for node in nodes):
            return All("and", ())
        return nodes[0] if len(nodes) == 1 else All("or", nodes)

    def node(self, predicate: Predicate, tables: tuple[Table, ...]) -> Node:
        match predicate:
            case Compare(op, left, right):
                return Compared(op, self.side(left, tables), self.side(right, tables))
            case In(left, values):
                return Member(self.side(left, tables), values)
            case Null(left):
                return IsNull(self.side(left, tables))
            case Joined(kind, items):
                return All(kind, tuple(self.node(item, tables) for item in items))
            case Not(item):
                return Opposite(self.node(item, tables))
            case Exists(name, where):
                inner = self.schema.tables.get(name)
                if inner is None:
                    raise error("42P01", f'a policy of "{tables[0].name}" names "{name[:63]}", which does not exist')
                seen = self.table(inner, "select", "using")
                asked = self.node(where, (inner, *tables))
                return Some(inner, All("and", (seen, asked)))
        raise TypeError(f"{type(predicate).__name__} is no predicate")

    def side(self, operand: Operand, tables: tuple[Table, ...]) -> Side:
        if isinstance(operand, (Claim, Literal_)):
            return operand
        assert isinstance(operand, Col)
        up = int(operand.outer)
        if up >= len(tables):
            raise error("42703", f'outer("{operand.name[:63]}") is used outside exists', status=500)
        column = tables[up].columns.get(operand.name)
        if column is None:
            raise error(
                "42703", f'a policy names the column {tables[up].name}."{operand.name[:63]}", which does not exist'
            )
        return Place(column, up)


__all__ = [
    "POLICIES", "Guard", "Policies", "Policy", "Scope", "claim", "col", "exists", "guard", "outer", "policy", "resolve",
    "role", "uid",
]  # fmt: skip
