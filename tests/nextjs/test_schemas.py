"""zod schemas: a Struct that comes out takes nothing that the schema refuses; what it cannot say stops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from projects import client_of

pytest.importorskip("tree_sitter_typescript", reason="tree-sitter is not installed")

from turnout.nextjs import translate


def struct(schema: str) -> Any:
    """The class for an object whose field ``x`` is *schema*."""
    names: dict[str, Any] = {}
    source = translate(f"import {{ z }} from 'zod'\nconst Body = z.object({{ x: {schema} }})\n".encode()).source
    exec(compile(source, "route.py", "exec", dont_inherit=True), names)
    return names["Body"]


REFUSED = [
    ("z.string().regex(/^[a-z]+$/)", ["ab\n", "a b"]),
    (r"z.string().regex(/^\d+$/)", ["\u0661", "1\n"]),
    (r"z.string().regex(/^[\w-]+$/)", ["\u00e9", "a b"]),
    (r"z.string().regex(/^a.b$/)", ["a\rb", "a\u2028b"]),
    (r"z.string().regex(/^\W\D$/)", ["aa", "!1"]),
    ("z.string().email()", ["a@b.co\n", "<a>@b.co", "a..b@c.co", "a@b", "a@-b.co"]),
    ("z.string().url()", ["https://", "https://a.b\n", "javascript:x"]),
    ("z.union([z.string(), z.number()])", [True, [], None]),
    ("z.array(z.string()).default([])", [None, "a"]),
]


@pytest.mark.parametrize(("schema", "bad"), REFUSED, ids=[schema for schema, _ in REFUSED])
def test_a_check_is_not_looser_here(schema: str, bad: list[Any]) -> None:
    Body = struct(schema)
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"x": value}, Body)


TAKEN = [
    (r"z.string().regex(/^[\w.-]+\/\d{2}$/)", ["a.b-c/12"]),
    ("z.string().email()", ["a.b+c@d-e.co.uk", "o'hara@example.com"]),
    ("z.string().url()", ["https://a.b/c?d=e#f"]),
    ("z.enum(['a', 'b']).default('a')", ["b"]),
    ("z.number().nullable().default(null)", [1.5, None]),
]


@pytest.mark.parametrize(("schema", "good"), TAKEN, ids=[schema for schema, _ in TAKEN])
def test_a_check_takes_what_it_takes_there(schema: str, good: list[Any]) -> None:
    Body = struct(schema)
    for value in good:
        assert msgspec.convert({"x": value}, Body).x == value


BASE = """
import { z } from 'zod'
const Base = z.object({ a: z.string().min(1), b: z.number().int(), c: z.object({ d: z.string() }).optional() })
const Strict = z.object({ a: z.number(), e: z.boolean() }).strict()
"""
# A schema that is made of others: what it takes, and what it refuses.
MADE = [
    (
        "Base.extend({ a: z.number(), e: z.string() })",
        [{"a": 1, "b": 2, "e": "x"}],
        [{"a": "x", "b": 2, "e": "x"}, {"b": 2, "e": "x"}],
    ),
    ("z.object({ ...Base.shape, b: z.string() })", [{"a": "x", "b": "y"}], [{"a": "x", "b": 2}]),
    ("Base.extend(Strict.shape)", [{"a": 1, "b": 2, "e": True, "f": 0}], [{"a": "x", "b": 2, "e": True}]),
    ("Base.merge(Strict)", [{"a": 1, "b": 2, "e": True}], [{"a": 1, "b": 2, "e": True, "f": 0}]),
    ("Strict.merge(Base)", [{"a": "x", "b": 2, "e": True, "f": 0}], [{"a": 1, "b": 2, "e": True}]),
    ("Base.merge(z.object({ e: z.string() }))", [{"a": "x", "b": 1, "e": "y"}], [{"a": "x", "b": 1}]),
    ("Strict.extend({ f: z.string() })", [{"a": 1, "e": True, "f": "x"}], [{"a": 1, "e": True, "f": "x", "g": 0}]),
    ("Base.pick({ a: true })", [{"a": "x"}, {"a": "x", "b": "y"}], [{}, {"a": ""}]),
    ("Base.omit({ b: true, c: true })", [{"a": "x"}], [{}]),
    ("Base.partial()", [{}, {"a": "x"}, {"c": {"d": "x"}}], [{"a": ""}, {"b": "x"}, {"c": {}}]),
    ("Base.partial({ a: true })", [{"b": 1}], [{"a": "x"}, {"a": "", "b": 1}]),
    ("Strict.partial().extend({ e: z.string() })", [{"e": "x"}], [{}, {"e": "x", "z": 1}]),
    ("Base.pick({ a: true }).strict()", [{"a": "x"}], [{"a": "x", "b": 1}]),
    ("Strict.strip()", [{"a": 1, "e": True, "f": 1}], [{"a": 1}]),
    (
        "z.object({ x: Base.partial().optional(), y: Strict.nullable() })",
        [{"y": None}, {"x": {}, "y": None}],
        [{}, {"x": {"a": ""}, "y": None}],
    ),
    ("z.object({ x: z.array(Base.pick({ a: true })) })", [{"x": [{"a": "x"}]}], [{"x": [{}]}]),
]


@pytest.mark.parametrize(("schema", "good", "bad"), MADE, ids=[schema for schema, _, _ in MADE])
def test_a_schema_that_is_made_of_others_takes_and_refuses_the_same(
    schema: str, good: list[Any], bad: list[Any]
) -> None:
    names: dict[str, Any] = {}
    source = translate(f"{BASE}export const Body = {schema}\n".encode()).source
    exec(compile(source, "route.py", "exec", dont_inherit=True), names)
    for value in good:
        msgspec.convert(value, names["Body"])
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(value, names["Body"])


async def test_a_partial_body_is_read_and_not_written_with_nulls(tmp_path: Path) -> None:
    theirs = (
        BASE
        + """
    const Patch = Base.partial()
    export async function PUT(request: Request) {
      const { a } = Patch.parse(await request.json())
      return Response.json({ a })
    }
    export async function PATCH(request: Request) {
      const found = Patch.parse(await request.json())
      await supabase.from('posts').update(found)
      return Response.json("written")
    }
    export async function POST(request: Request) {
      return Response.json(Base.partial().parse(await request.json()))
    }
    """
    )
    found = translate(f"import {{ supabaseAdmin as supabase }} from '@/lib/db'\n{theirs}".encode())
    assert found.methods == {"PUT": True, "PATCH": False, "POST": False}


STOPPED = [
    "z.object({ x: z.coerce.number() })",
    "z.object({ x: z.string().trim().min(1) })",
    "z.object({ x: z.string().toLowerCase() })",
    "z.object({ x: z.string().transform(f) })",
    "z.object({ x: z.string().refine(f) })",
    "z.object({ x: z.string().regex(/a/i) })",
    "z.object({ x: z.string().regex(/\\bword/) })",
    "z.object({ x: z.string().regex(/a/).regex(/b/) })",
    "z.object({ x: z.literal(true) })",
    "z.object({ x: z.record(z.enum(['a']), z.number()) })",
    "z.object({ x: z.union([z.object({ a: z.string() }), z.object({ b: z.string() })]) })",
    "z.object({ x: z.discriminatedUnion('type', [A, B]) })",
    "z.object({ x: z.preprocess(f, z.string()) })",
    "z.object({ x: z.date().min(new Date()) })",
    "z.object({ x: z.number().positive().min(5) })",
    "z.object({ x: z.array(z.string()).default(['a']) })",
    "z.object({ x: z.string().datetime({ offset: true }) })",
    "z.object({ class: z.string() })",
    "z.object({ str: z.string(), x: z.string() })",
    "z.object({ x: z.string() }).passthrough()",
    "z.object({ x: z.string().default('a') }).partial()",
    "z.object({ x: z.object({ y: z.string() }) }).deepPartial()",
    "z.object({ x: z.string().optional() }).required()",
    "z.object({ x: z.string() }).and(z.object({ y: z.string() }))",
    "z.object({ ...shape, x: z.string() })",
    "Base.extend(shape)",
    "Base.extend({ y: z.string().trim() })",
    "Base.merge(Elsewhere)",
    "Base.pick({ y: true })",
    "Base.pick({ x: false })",
    "Base.omit(mask)",
    "Base.extend({ y: z.string() }).catchall(z.string())",
    "Elsewhere.partial()",
    "z.object({ x: Base.shape.x })",
    "z.object({ x: Base.array() })",
]


@pytest.mark.parametrize("schema", STOPPED)
async def test_what_a_struct_cannot_say_lets_no_body_pass(tmp_path: Path, schema: str) -> None:
    theirs = f"""
    import {{ z }} from 'zod'
    const Base = z.object({{ x: z.string() }})
    const Elsewhere = z.string()
    const Body = {schema}
    export async function POST(request: Request) {{
      try {{
        return Response.json(Body.parse(await request.json()))
      }} catch {{
        return Response.json("swallowed")
      }}
    }}
    """
    found = translate(theirs.encode())
    assert found.methods == {"POST": False}
    async with client_of(tmp_path, {"app/route.py": found.source}) as client:
        assert (await client.post("/", json={"x": "a"})).status == 500
