"""route.ts to route.py: what is translated says the same, and what is not stops whoever comes to it."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import client_of

pytest.importorskip("tree_sitter_typescript", reason="tree-sitter is not installed")

from turnout.nextjs import translate

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "coming-from-nextjs.md").read_text()
THEIRS = [block for block in re.findall(r"```typescript\n(.*?)```", PAGE, re.DOTALL) if "export" in block]


def handler(body: str, *, before: str = "", slugs: dict[str, str] | None = None) -> str:
    """The lines that *body* of a POST becomes."""
    source = f"{before}\nexport async function POST(request: Request) {{\n{body}\n}}\n"
    lines = re.split(r"async def POST\(.*\):\n", translate(source.encode(), slugs=slugs).source)[1]
    return dedent(lines).strip()


SAME = [
    ("const a = 1;", "a = 1"),
    ("let total = a + 1;", "total = a + 1"),
    ("const userName = x.firstName;", "user_name = x.first_name"),
    ("const t = `a ${x} b`;", 't = f"a {x} b"'),
    ('const t = `a ${x["k"]} {b}`;', "t = f\"a {x.get('k')} {{b}}\""),
    ('const t = "say \\"hi\\"\\n";', 't = "say \\"hi\\"\\n"'),
    ("const t = 'n: ' + n;", 't = "n: " + str(n)'),
    ("const o = { a, 'b-c': 1, [k]: 2, ...rest };", 'o = {"a": a, "b-c": 1, k: 2, **rest}'),
    ("const l = [1, ...more];", "l = [1, *more]"),
    ("const ok = a === 1 && b !== null || !c;", 'ok = a == 1 and b is not None or c in (None, False, 0, "")'),
    ("const ok = !(a < 1 && b > 2);", "ok = not (a < 1 and b > 2)"),
    ("const ok = (a < 1 || b > 2) && c === 3;", "ok = (a < 1 or b > 2) and c == 3"),
    ("const x = (a + b) * c - (d - e);", "x = (a + b) * c - (d - e)"),
    ("const x = a ? b : c;", 'x = b if a not in (None, False, 0, "") else c'),
    ("const x = a ?? 'd';", 'x = a if a is not None else "d"'),
    ("const x = a?.b;", "x = a.b if a is not None else None"),
    ("const x = a?.b.c;", "x = a.b.c if a is not None else None"),
    ("const x = a?.b?.c || 'd';",
     'x = a.b.c if a is not None and a.b is not None and a.b.c not in (None, False, 0, "") else "d"'),
    ("const n = xs.length;", "n = len(xs)"),
    ("const s = a.b as A.B.C;", "s = a.b"),
    ("const s = (a as unknown as A.B.C.D).e!;", "s = a.e"),
    ("const n = parseInt(page, 10);", "n = int(page)"),
    ("const ok = typeof x === 'string';", "ok = isinstance(x, str)"),
    ("const ok = names.includes(name);", "ok = name in names"),
    ("const ok = !names.includes(name);", "ok = name not in names"),
    ("const t = JSON.stringify(x);", 't = json.dumps(x, separators=(",", ":"), ensure_ascii=False)'),
    ("const ids = rows.map((row) => row.id);", "ids = [row.id for row in rows]"),
    ("const big = rows.filter(r => r.size > 3);", "big = [r for r in rows if r.size > 3]"),
    ("const one = rows.find(r => r.id === id);", "one = next((r for r in rows if r.id == id), None)"),
    ("const key = process.env.API_KEY!;", 'key = env["API_KEY"]'),
    ("const body = await request.json(); const { name, age = 3 } = body;",
     'body = await request.json()\nname = body.get("name")\nage = body.get("age", 3)'),
    ("const { name } = await request.json();", 'body = await request.json()\nname = body.get("name")'),
    ("const form = await request.formData(); const t = form.get('t');",
     'form = await request.form_data()\nt = form.get("t")'),
    ("const { searchParams } = new URL(request.url); const q = searchParams.get('q') ?? 'x';",
     'q = request.search_params.get("q", "x")'),
    ("const q = request.nextUrl.searchParams.get('q') || 'x';", 'q = request.search_params.get("q") or "x"'),
    ("const url = new URL(request.url); return Response.json({ p: url.pathname });",
     'return Response.json({"p": request.url.pathname})'),
    ("const token = (await cookies()).get('t')?.value;", 'token = cookies().get("t")'),
    ("return new Response(null, { status: 204 });", "return Response(None, status=204)"),
    ("return new NextResponse('x', { status: 400, headers: { a: 'b' } });",
     'return Response("x", status=400, headers={"a": "b"})'),
    ("return new Response(JSON.stringify({ a: 1 }), { status: 201 });", 'return Response.json({"a": 1}, status=201)'),
    ("return NextResponse.redirect(new URL('/login', request.url));", 'return redirect("/login")'),
    ("redirect('/x');", 'return redirect("/x")'),
    ("notFound();", "raise NotFound()"),
    ("throw new Error('no');", 'raise Exception("no")'),
    ("revalidatePath('/posts');", 'revalidate_path("/posts")'),
    ("console.error('failed', x);", 'logger.error("failed %s", x)'),
    ("for (const x of xs) { go(x); }", "for x in xs:\n    go(x)"),
    ("let a = 0; while (a < 3) { a += 1; }", "a = 0\nwhile a < 3:\n    a += 1"),
    ("if (a < 1) { return b } else if (c > 2) { return d } else { return e }",
     "if a < 1:\n    return b\nelif c > 2:\n    return d\nelse:\n    return e"),
    ("if (isNew(a)) return;", "if is_new(a):\n    return"),
    ("try { go() } catch { return null } finally { stop() }",
     "try:\n    go()\nexcept Exception:\n    return None\nfinally:\n    stop()"),
    ("try { go() } catch (e) { console.log(e.message) }",
     'try:\n    go()\nexcept Exception as e:\n    logger.info("%s", str(e))'),
    ("switch (x) { case 'a': case 'b': go(); break; default: stop(); }",
     'match x:\n    case "a" | "b":\n        go()\n    case _:\n        stop()'),
    ("const [a, b] = await Promise.all([f(), g()]);", "a, b = await asyncio.gather(f(), g())"),
    ("const r = await fetch(url, { method: 'POST', body: JSON.stringify(x), headers: { a: 'b' } });",
     'r = await client.request("POST", url, headers={"a": "b"}, json=x)'),
    ("const r = await fetch(url); if (!r.ok) { return r.status } const d = await r.json();",
     "r = await client.get(url)\nif not r.is_success:\n    return r.status_code\nd = r.json()"),
    ("const x = await db.from('t').select('a, b').eq('id', 1).order('a', { ascending: false }).limit(3);",
     'x = await db.from_("t").select("a, b").eq("id", 1).order("a", desc=True).limit(3)'),
    ("const s = await createClient(); const { data, error } = await s.from('t').select('*').in('id', [1]);",
     's = await create_client()\ndata = (await s.table("t").select("*").in_("id", [1]).execute()).data'),
    ("const s = createClient(); const { data: { user } } = await s.auth.getUser();",
     "s = await create_client()\nfound = await s.auth.get_user()\nuser = found.user if found is not None else None"),
    ("const class_ = 1; const json = 2; const list = 3;", "class_ = 1\njson_ = 2\nlist_ = 3"),
    ("// why\nconst a = 1;", "# why\na = 1"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), SAME, ids=[theirs[:60] for theirs, _ in SAME])
def test_a_statement_says_the_same(theirs: str, ours: str) -> None:
    assert handler(theirs) == ours


STOPPED = [
    "const x = f`tagged`;",
    "const x = /a/.test(y);",
    "for (let i = 0; i < 3; i++) { go(i) }",
    "for (const k in o) { go(k) }",
    "const { a, ...rest } = body;",
    "const x = typeof y;",
    "const x = f() ?? 1;",
    "const x = new Thing();",
    "const xs = ys.map(async (y) => await f(y));",
    "const p = request.geo;",
    "const x = await prisma.post.findMany();",
    "switch (x) { case 'a': go(); case 'b': stop(); }",
    "label: while (true) { break label }",
    "const x = [a, b = 1] = c;",
    "delete x.y;",
    "a ||= 1;",
    "const x = 1 +;",
]


@pytest.mark.parametrize("theirs", STOPPED)
def test_what_is_not_understood_is_kept_and_stops(theirs: str) -> None:
    before = "import { prisma } from '@/lib/prisma'\nimport { Thing } from 'thing'"
    found = translate(f"{before}\nexport async function POST(request) {{\n{theirs}\nreturn 1\n}}".encode())
    assert re.search(r"\n    # NEXT route\.ts:4: .+\n    #   ", found.source)
    assert '    raise NotImplementedError("route.ts:4")\n' in found.source
    assert any(note.line == 4 for note in found.notes)
    assert found.methods == {"POST": False}
    ast.parse(found.source)


async def test_a_check_that_is_not_understood_lets_nobody_pass(tmp_path: Path) -> None:
    theirs = """
    import { auth } from 'some-auth'
    export async function GET(request: Request) {
      try {
        const session = await auth()
        if (!session) return Response.json({ error: 'no' }, { status: 401 })
        return Response.json({ secret: 1 })
      } catch (e) {
        return Response.json({ secret: 2 })
      }
    }
    """
    async with client_of(tmp_path, {"app/route.py": translate(theirs.encode()).source}) as client:
        answer = await client.get("/")
    assert answer.status == 500
    assert "secret" not in answer.text


@pytest.mark.parametrize("block", THEIRS, ids=[block.strip().splitlines()[0][:50] for block in THEIRS])
def test_every_route_of_the_page_for_people_from_next_is_translated_whole(block: str) -> None:
    found = translate(block.encode(), slugs={"id": "str"})
    ast.parse(found.source)
    assert all(found.methods.values())
    assert "NotImplementedError" not in found.source


async def test_what_comes_out_runs(tmp_path: Path) -> None:
    item, listed = (block for block in THEIRS if "app/api/posts/" in block and "'use server'" not in block)
    if "[id]" not in item:
        item, listed = listed, item
    [checked] = [block for block in THEIRS if "z.object" in block]
    files = {
        "app/api/posts/route.py": translate(listed.encode()).source,
        "app/api/posts/[id]/route.py": translate(item.encode(), slugs={"id": "str"}).source,
        "app/api/checked/route.py": translate(checked.encode()).source,
    }
    async with client_of(tmp_path, files) as client:
        from turnout import db

        await db.sql("create table posts (id integer primary key, title text not null)")
        assert (await client.post("/api/posts", json={"title": "a"})).json() == [{"id": 1, "title": "a"}]
        assert (await client.get("/api/posts")).json() == [{"id": 1, "title": "a"}]
        assert (await client.get("/api/posts/1")).json() == {"id": 1, "title": "a"}
        assert (await client.put("/api/posts/1", json={"title": "b"})).json() == [{"id": 1, "title": "b"}]
        assert (await client.get("/api/posts/7")).status == 404
        assert (await client.delete("/api/posts/1")).status == 204
        assert (await client.post("/api/checked", json={"title": "", "content": "x"})).status == 422
        assert (await client.post("/api/checked", json={"title": "a", "content": "x"})).status == 204


# -- zod

FIELDS = [
    ("z.string()", ["a", ""], [1, None]),
    ("z.string().min(2).max(3)", ["ab", "abc"], ["a", "abcd"]),
    ("z.string().length(2)", ["ab"], ["a", "abc"]),
    ("z.string().email()", ["a@b.co"], ["a", "a b@c.co"]),
    ("z.string().url()", ["https://a.b"], ["a.b", "javascript:x"]),
    ("z.string().uuid()", ["0af76519-16cd-43dd-8448-eb211c80319c"], ["x"]),
    ("z.string().regex(/^[a-z]+\\/$/)", ["ab/"], ["ab", "A/"]),
    ("z.string().datetime()", ["2026-01-02T03:04:05Z"], ["yesterday"]),
    ("z.number()", [1, 1.5], ["1", None]),
    ("z.number().int().positive()", [1], [0, 1.5]),
    ("z.number().min(1).max(3)", [1, 3], [0, 4]),
    ("z.boolean()", [True], ["true", 1]),
    ("z.enum(['a', 'b'])", ["a"], ["c"]),
    ("z.literal(3)", [3], [4]),
    ("z.array(z.string().min(1)).min(1)", [["a"]], [[], [""], "a"]),
    ("z.record(z.number())", [{"a": 1}], [{"a": "b"}]),
    ("z.union([z.string(), z.number().int()])", ["a", 1], [None]),
    ("z.string().nullable()", ["a", None], [1]),
    ("z.object({ a: z.number().int() })", [{"a": 1}], [{}, {"a": "x"}]),
    ("z.array(z.object({ a: z.string() }))", [[{"a": "x"}]], [[{}]]),
    ("z.email()", ["a@b.co"], ["a"]),
    ("z.any()", [1, "a", None], []),
]


def made(source: str) -> dict[str, Any]:
    """The names of the module that *source* becomes, made by running it."""
    names: dict[str, Any] = {}
    exec(compile(translate(source.encode()).source, "route.py", "exec", dont_inherit=True), names)
    return names


def struct(fields: str) -> Any:
    """The class that a schema with *fields* becomes."""
    source = f"import {{ z }} from 'zod'\nconst Body = z.object({{ {fields} }})\n"
    return made(source)["Body"]


@pytest.mark.parametrize(("schema", "good", "bad"), FIELDS, ids=[schema for schema, _, _ in FIELDS])
def test_a_schema_takes_and_refuses_the_same(schema: str, good: list[Any], bad: list[Any]) -> None:
    Body = struct(f"x: {schema}")
    for value in good:
        msgspec.convert({"x": value}, Body)
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"x": value}, Body)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({}, Body)


def test_fields_that_may_be_left_out_have_a_default() -> None:
    Body = struct("a: z.string().optional(), b: z.string().default('x'), c: z.number().int(), d: z.string().nullish()")
    found = msgspec.convert({"c": 1}, Body)
    assert (found.a, found.b, found.c, found.d) == (None, "x", 1, None)


def test_a_strict_schema_refuses_other_fields() -> None:
    source = "import { z } from 'zod'\nconst Body = z.object({ a: z.string() }).strict()\n"
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"a": "x", "b": 1}, made(source)["Body"])


@pytest.mark.parametrize(
    "schema", ["z.object({ a: z.string().refine(f) })", "z.object({ a: z.string() }).superRefine(f)", "z.string()"]
)
async def test_a_check_of_a_schema_that_is_not_understood_lets_no_body_pass(tmp_path: Path, schema: str) -> None:
    theirs = f"""
    import {{ z }} from 'zod'
    const Body = {schema}
    export async function POST(request: Request) {{
      const body = Body.parse(await request.json())
      return Response.json(body)
    }}
    """
    found = translate(theirs.encode())
    assert found.notes
    async with client_of(tmp_path, {"app/route.py": found.source}) as client:
        assert (await client.post("/", json={"a": "x"})).status == 500


def test_a_failed_safe_parse_needs_no_answer_of_its_own() -> None:
    before = "import { z } from 'zod'\nconst Body = z.object({ a: z.string() })"
    ours = handler(
        "const result = Body.safeParse(await request.json());\n"
        "if (!result.success) { return Response.json({ error: 'bad' }, { status: 400 }) }\n"
        "const { a } = result.data;\nreturn Response.json(result.data);",
        before=before,
    )
    lines = [line for line in ours.splitlines() if not line.startswith("#")]
    assert lines == ["result = await request.json(Body)", "a = result.a", "return Response.json(result)"]
    assert "# NEXT route.ts:5: not needed" in ours


# -- the frame

SIGNATURES = [
    ("request: Request", "request: Request"),
    ("req: NextRequest", "request: Request"),
    ("request: Request, { params }: { params: { id: string } }", "request: Request, id: str"),
    ("_: Request, { params }: { params: Promise<{ id: string }> }", "id: str"),
    ("req: Request, context: { params: { id: string } }", "request: Request, id: str"),
    ("req, { params: { id } }", "request: Request, id: str"),
    ("", ""),
]


@pytest.mark.parametrize(("theirs", "ours"), SIGNATURES)
def test_a_handler_has_the_arguments_that_it_uses(theirs: str, ours: str) -> None:
    request = re.match(r"[a-z]+", theirs)
    use = f"{request[0]}.method" if request else "1"
    if "context" in theirs:
        reach = "(await context.params).id"
    elif "{ id } }" in theirs:
        reach = "id"
    else:
        reach = "(await params).id" if "Promise" in theirs else "params.id"
    body = f"return [{use}, {reach}]" if "id" in theirs else f"return [{use}]"
    found = translate(f"export async function GET({theirs}) {{ {body} }}".encode(), slugs={"id": "str"})
    assert f"async def GET({ours}):" in found.source


def test_both_spellings_of_a_handler_and_its_settings_are_read() -> None:
    source = b"""
    export const revalidate = 60
    export const dynamic = 'force-dynamic'
    export const maxDuration = 30
    export const GET = async () => Response.json({ a: 1 })
    export const POST = withAuth(async () => new Response())
    """
    found = translate(source)
    assert "revalidate = 60\nmax_duration = 30\n" in found.source
    assert "async def GET():\n    return Response.json(" in found.source
    assert found.methods == {"GET": True, "POST": False}


def test_imports_are_those_that_are_used() -> None:
    source = b"""
    import type { Post } from '@/types'
    import { getPosts, type Author } from '@/lib/posts'
    import { unused } from '@/lib/unused'
    import { helper as help } from './helper-functions'
    import { up } from '../shared'
    import { PostSchema } from '@/lib/schemas'
    export async function POST(request: Request) {
      const body = PostSchema.parse(await request.json())
      return Response.json([await getPosts(), help(), up(), body])
    }
    """
    found = translate(source)
    assert "from lib.posts import get_posts\n" in found.source
    assert "from .helper_functions import helper as help\n" in found.source
    assert "from ..shared import up\n" in found.source
    assert "from lib.schemas import PostSchema\n" in found.source
    assert "unused" not in found.source
    assert found.imports["lib.posts"] == ["get_posts"]


def test_a_client_for_everybody_does_not_become_one_with_all_rights() -> None:
    for key, whole in (("NEXT_PUBLIC_SUPABASE_ANON_KEY", False), ("SUPABASE_SERVICE_ROLE_KEY", True)):
        source = f"""
        import {{ createClient }} from '@supabase/supabase-js'
        const supabase = createClient(process.env.SUPABASE_URL!, process.env.{key}!)
        export async function GET() {{
          const {{ data }} = await supabase.from('posts').select('*')
          return Response.json(data)
        }}
        """
        found = translate(source.encode())
        assert ('db.from_("posts")' in found.source) is whole
        assert bool(found.notes) is not whole


CORPUS = "\n".join([*THEIRS, *(f"export async function PUT(request) {{ {theirs} }}" for theirs, _ in SAME)])


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_is_given_python_comes_out(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(CORPUS) - 1))
    length = data.draw(st.integers(0, 600))
    text = CORPUS[start : start + length]
    cut = data.draw(st.integers(0, len(text)))
    text = (
        text[:cut]
        + data.draw(st.sampled_from(["", "{", "}", "`", "'", "(", "=>", "\\", "\u2028", "𝒳", "/*"]))
        + text[cut:]
    )
    wrapped = data.draw(st.booleans())
    source = f"export async function POST(request) {{\n{indent(text, '  ')}\n}}" if wrapped else text
    ast.parse(translate(source.encode("utf-8", "surrogatepass"), slugs={"id": "str"}).source)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_read(source: bytes) -> None:
    ast.parse(translate(source).source)
