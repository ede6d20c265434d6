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
    "z.object({ x: z.string() }).partial()",
    "z.object({ x: z.string() }).and(z.object({ y: z.string() }))",
    "z.object({ x: z.string() }).extend({ y: z.string() })",
    "z.object({ ...shape, x: z.string() })",
    "Base.extend({ y: z.string() })",
    "Base.pick({ x: true })",
]


@pytest.mark.parametrize("schema", STOPPED)
async def test_what_a_struct_cannot_say_lets_no_body_pass(tmp_path: Path, schema: str) -> None:
    theirs = f"""
    import {{ z }} from 'zod'
    const Base = z.object({{ x: z.string() }})
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
