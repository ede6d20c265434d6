"""Where the two languages look alike and are not: what comes out says the same, or stops."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from projects import client_of

pytest.importorskip("tree_sitter_typescript", reason="tree-sitter is not installed")

from turnout.nextjs import Translated, translate


def post(body: str, *, before: str = "", slugs: dict[str, str] | None = None) -> Translated:
    """What a POST with *body* becomes."""
    source = f"{before}\nexport async function POST(request: Request, {{ params }}) {{\n{body}\n}}\n"
    return translate(source.encode(), slugs=slugs)


async def answer(found: Translated, folder: Path, sent: Any, path: str = "") -> Any:
    """What the route answers to *sent*: its status, and the JSON."""
    assert "NEXT route.ts" not in found.source
    name = f"app{path and '/[id]'}/route.py"
    async with client_of(folder, {name: found.source}) as client:
        got = await client.post(path or "/", json=sent)
        return got.status, json.loads(got.text)


SENT = [
    # Empty lists and objects are true there.
    ("return Response.json(body.x ? 1 : 2);", {"x": []}, 1),
    ("return Response.json(body.x ? 1 : 2);", {"x": {}}, 1),
    ("return Response.json(!body.x);", {"x": []}, False),
    ("return Response.json(!body.x);", {"x": ""}, True),
    ("return Response.json(!body.x);", {"x": 0}, True),
    ("return Response.json(!!body.x);", {"x": {}}, True),
    ("return Response.json(Boolean(body.x));", {"x": {}}, True),
    ("return Response.json(body.x || 'd');", {"x": []}, []),
    ("return Response.json(body.x || 'd');", {"x": 0}, "d"),
    ("return Response.json(body.x && 'd');", {"x": []}, "d"),
    ("return Response.json(body.x && 'd');", {"x": ""}, ""),
    ("return Response.json(body.x ?? 'd');", {"x": 0}, 0),
    ("return Response.json(body.x?.y || 'd');", {"x": {"y": []}}, []),
    ("return Response.json(body.x?.y || 'd');", {}, "d"),
    ("return Response.json(body.x.filter(a => a.y).length);", {"x": [{"y": []}, {"y": 0}]}, 1),
    ("return Response.json(body.x.some(a => a));", {"x": [{}]}, True),
    ("return Response.json({ ...(body.x && { a: 1 }) });", {"x": 0}, {}),
    ("return Response.json({ ...(body.x && { a: 1 }) });", {"x": []}, {"a": 1}),
    # A member that was not sent is not one that is null.
    ("return Response.json(body.x !== undefined);", {"x": None}, True),
    ("return Response.json(body.x !== undefined);", {}, False),
    ("return Response.json(body.x === null);", {}, False),
    ("return Response.json(body.x === null);", {"x": None}, True),
    ("return Response.json(body.x == null);", {}, True),
    ("const { x } = body; return Response.json(x === undefined);", {"x": None}, False),
    ("const { x } = body; return Response.json(typeof x === 'undefined');", {}, True),
    # True is no number there.
    ("return Response.json(typeof body.x === 'number');", {"x": True}, False),
    ("return Response.json(body.x === true);", {"x": 1}, False),
    ("return Response.json(body.x === false);", {"x": 0}, False),
    ("return Response.json(typeof body.x === 'object');", {"x": None}, True),
    ("return Response.json(typeof body.x === 'object');", {"x": []}, True),
    # Number() keeps a fraction.
    ("return Response.json(Number(body.x) * 2);", {"x": 9.5}, 19),
    ("const price = body.x; return Response.json(Number(price) * 2);", {"x": 9.5}, 19),
    ("return Response.json(+body.x * 2);", {"x": 9.5}, 19),
    # What is not in a list is undefined.
    ("return Response.json(body.x[0] ?? 'none');", {"x": []}, "none"),
    ("return Response.json('a b'.split(' ')[1]);", {}, "b"),
    ("const b = 'a'.split(' ')[1]; return Response.json(b ?? 'none');", {}, "none"),
    ("const [, b] = body.x; return Response.json(b);", {"x": [1, 2]}, 2),
    ("const [a] = body.x; return Response.json(a);", {"x": [1, 2]}, 1),
    ("const [a, b] = body.x; return Response.json([a, b]);", {"x": [1, 2, 3]}, [1, 2]),
    ("const [a, b] = body.x; return Response.json([a, b]);", {"x": []}, [None, None]),
    ("const plans = { a: 1 }; return Response.json(plans[body.x] ?? 0);", {"x": "b"}, 0),
    # A quoted name is a name.
    ("const { 'x-y': z } = body; return Response.json(z);", {"x-y": 1}, 1),
    # Two variables are two variables.
    ("const user_id = body.x; const userId = 7; return Response.json(user_id !== userId);", {"x": 8}, True),
    ("const role = 'user'; if (body.x > 0) { const role = 'admin'; console.log(role); } return Response.json(role);",
     {"x": 1}, "user"),
    ("const found = 1; const { y } = JSON.parse(body.x); return Response.json([found, y]);", {"x": '{"y": 2}'}, [1, 2]),
    # A signature is over every byte.
    ("return Response.json(JSON.stringify({ a: 'ü', b: [1, 2] }));", {}, '{"a":"ü","b":[1,2]}'),
    ("return Response.json('a: ' + body.x + body.y);", {"x": 1, "y": 2}, "a: 12"),
    ("return Response.json((7 % 7) === 0);", {}, True),
    ("return Response.json('\\ud83d\\ude00');", {}, "😀"),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "sent", "wanted"), SENT, ids=[f"{theirs[:70]} {sent}" for theirs, sent, _ in SENT])
async def test_a_route_answers_what_theirs_would(theirs: str, sent: Any, wanted: Any, tmp_path: Path) -> None:
    found = post(f"const body = await request.json();\n{theirs}")
    assert await answer(found, tmp_path, sent) == (200, wanted)


async def test_a_body_that_is_read_later_is_a_body(tmp_path: Path) -> None:
    theirs = "let body; try { body = await request.json(); } catch { return Response.json('bad', { status: 400 }) }"
    found = post(f"{theirs} return Response.json([body.x, body.y === undefined]);")
    assert await answer(found, tmp_path, {"x": 1}) == (200, [1, True])


async def test_a_failed_safe_parse_is_not_what_a_catch_is_for(tmp_path: Path) -> None:
    theirs = """
    import { z } from 'zod'
    const Body = z.object({ a: z.string() })
    export async function POST(request: Request) {
      try {
        const result = Body.safeParse(await request.json())
        if (!result.success) return Response.json({}, { status: 400 })
        return Response.json(result.data.a)
      } catch (error) {
        return Response.json({}, { status: 500 })
      }
    }
    """
    async with client_of(tmp_path, {"app/route.py": translate(theirs.encode()).source}) as client:
        assert (await client.post("/", json={"a": 1})).status == 422
        assert (await client.post("/", json={"a": "x"})).json() == "x"


async def test_the_id_of_a_body_is_not_the_id_of_the_path(tmp_path: Path) -> None:
    theirs = "const { id } = await request.json(); return Response.json([(await params).id, id]);"
    found = post(theirs, slugs={"id": "str"})
    assert await answer(found, tmp_path, {"id": "theirs"}, "/mine") == (200, ["mine", "theirs"])


async def test_the_variable_of_a_comprehension_is_not_the_id_of_the_path(tmp_path: Path) -> None:
    theirs = "const ids = ['a', 'b']; return Response.json(ids.filter(id => id !== params.id));"
    assert await answer(post(theirs, slugs={"id": "str"}), tmp_path, {}, "/a") == (200, ["b"])


STOPPED = [
    "if (a == b) { return x }",
    "if (count == '1') { return x }",
    "const page = parseInt(searchParams.get('page')) || 1;",
    "if (isNaN(n)) { return x }",
    "const t = n.toString(36);",
    "const parts = s.split(' ', 2);",
    "const parts = s.split('');",
    "const t = s.replace('a', b);",
    "const t = s.substring(1);",
    "const xs = ys.sort();",
    "const xs = ys.reverse();",
    "const x = await go().catch(() => null);",
    "const user = load() || fallback;",
    "const x = -3 % n;",
    "const x = n | 0;",
    "const x = { 1: 'a' };",
    "const t = `${a === b}`;",
    "const x = a?.b.c();",
    "const x = a?.b[0];",
    "const x = list?.includes(a);",
    "const x = table[name];",
    "const x = JSON.stringify(a, ['b']);",
    "const r = await fetch(url, { method: verb });",
    "const r = await fetch(url, { signal: AbortSignal.timeout(10) });",
    "return NextResponse.redirect(new URL('/x', process.env.APP_URL));",
    "for await (const x of xs) { go(x) }",
    "for (const [, v] of xs) { go(v) }",
    "counter = counter + 1;",
    "const q = db.from('t').select('*');",
    "try { go() } finally { return 1 }",
    "const { a = 1 } = unknown;",
    "const { success, data } = Body.safeParse(await request.json());",
    "const query = Body.parse(Object.fromEntries(searchParams));",
    "await db.from('t').update(Body.parse(await request.json())).eq('id', 1);",
    "const body = await request.json(); await db.from('t').update({ a: body.a }).eq('id', 1);",
    "send();",
    "if (PATTERN.test(a)) { return x }",
    "const level = Level.High;",
    "try { go() } catch (e) { if (e instanceof NextResponse) { return e } throw e }",
    "const t = userAgent(request);",
]  # fmt: skip
BEFORE = """
import { z } from 'zod'
import { userAgent } from 'next/server'
import { go, load } from '@/lib/go'
let counter = 0
const PATTERN = /^a/
enum Level { High }
const Body = z.object({ a: z.string().optional() })
async function send() { return go() }
"""


@pytest.mark.parametrize("theirs", STOPPED)
def test_what_would_say_something_else_stops(theirs: str) -> None:
    found = post(f"{theirs}\nreturn 1", before=BEFORE)
    assert "    raise NotImplementedError(" in found.source
    assert found.methods == {"POST": False}


async def test_no_handler_of_errors_swallows_a_stop_in_a_function_that_it_calls(tmp_path: Path) -> None:
    theirs = """
    import { auth } from 'some-auth'
    export async function GET() {
      try { await check() } catch { console.log('no matter') }
      return Response.json({ secret: 1 })
    }
    async function check() { await auth() }
    """
    async with client_of(tmp_path, {"app/route.py": translate(theirs.encode()).source}) as client:
        got = await client.get("/")
    assert got.status == 500
    assert "secret" not in got.text


async def test_no_handler_of_errors_swallows_the_lack_of_something_defined_above(tmp_path: Path) -> None:
    theirs = """
    const ALLOWED = /^[a-z]+$/
    export async function GET(request: Request) {
      try { if (!ALLOWED.test(request.method)) return Response.json(1, { status: 403 }) } catch { }
      return Response.json({ secret: 1 })
    }
    """
    async with client_of(tmp_path, {"app/route.py": translate(theirs.encode()).source}) as client:
        assert (await client.get("/")).status == 500


def test_a_result_of_supabase_has_no_error_to_ask_for() -> None:
    before = "import { createClient } from '@/lib/supabase/server'"
    theirs = """
    const s = await createClient()
    const [a, b] = await Promise.all([s.from('a').select('*'), s.rpc('b')])
    const c = await s.from('c').select('*')
    if (a.error) { return Response.json(1) }
    if (c.error) { return Response.json(2) }
    """
    found = post(f"{theirs}return Response.json([a.data, b.data, c.data])", before=before)
    assert found.methods == {"POST": True}
    assert "return Response.json([a.data, b.data, c.data])" in found.source
    assert found.source.count("not needed: what failed has raised") == 2
    assert "NotImplementedError" in post(f"{theirs}return Response.json(b.error)", before=before).source


EXPORTS = [
    ("async function read() { return Response.json(1) }\nexport { read as GET }", {"GET": True}),
    ("const read = async () => Response.json(1)\nexport { read as GET, read as POST }", {"GET": True, "POST": True}),
    ("async function GET() { return Response.json(1) }\nexport { GET }", {"GET": True}),
    ("const read = async () => Response.json(1)\nexport const GET = read", {"GET": True}),
    ("import { handlers } from '@/auth'\nexport const { GET, POST } = handlers", {"GET": False, "POST": False}),
    ("export { GET } from './elsewhere'", {"GET": False}),
    ("import { wrap } from '@/lib'\nexport const GET = wrap(async () => Response.json(1))", {"GET": False}),
]


@pytest.mark.parametrize(("theirs", "methods"), EXPORTS)
def test_a_handler_is_found_however_it_is_exported(theirs: str, methods: dict[str, bool]) -> None:
    found = translate(theirs.encode())
    assert found.methods == methods
    for name, whole in methods.items():
        assert f"async def {name}(" in found.source
        assert ("raise NotImplementedError" in found.source) is not whole


def test_a_handler_that_is_not_exported_is_none() -> None:
    theirs = "async function DELETE() { return Response.json(1) }\nexport const GET = async () => Response.json(2)"
    found = translate(theirs.encode())
    assert "DELETE" not in found.source
    assert found.methods == {"GET": True}


def test_a_name_of_theirs_does_not_become_a_setting_of_the_route() -> None:
    theirs = "import { auth } from '@/auth'\nconst rateLimit = 5\nexport const GET = async () => auth(rateLimit)"
    source = translate(theirs.encode()).source
    assert "from auth import auth as auth_\n" in source
    assert "rate_limit_ = 5" in source


REDIRECTS = [
    ("Response.redirect('/x')", 'redirect("/x", 302)'),
    ("NextResponse.redirect('/x')", 'redirect("/x")'),
    ("NextResponse.redirect('/x', 303)", 'redirect("/x", 303)'),
    ("NextResponse.redirect('/x', { status: 303 })", 'redirect("/x", 303)'),
    ("NextResponse.redirect('https://a.example/x')", 'redirect("https://a.example/x", external=True)'),
]


@pytest.mark.parametrize(("theirs", "ours"), REDIRECTS)
def test_a_redirect_has_the_status_that_it_has_there(theirs: str, ours: str) -> None:
    assert f"return {ours}\n" in post(f"return {theirs};").source


def test_a_cookie_keeps_its_flags() -> None:
    theirs = "const jar = await cookies(); jar.set('a', 'b', { httpOnly: true, sameSite: 'strict', maxAge: 60 });"
    assert 'jar.set("a", "b", http_only=True, same_site="strict", max_age=60)' in post(theirs).source
