"""turnout import next: a folder of theirs to a folder of ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tree_sitter_typescript", reason="tree-sitter is not installed")

from turnout.cli.main import main

HELLO = "export async function GET() { return Response.json({ ok: true }) }\n"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    files = {
        "src/app/api/hello/route.ts": HELLO,
        "src/app/api/posts/[post-id]/route.ts": (
            "export async function GET(request, { params }) {\n"
            "  const { 'post-id': a } = await params\n"
            "  return Response.json({ id: params['post-id'], x: request.geo })\n}\n"
        ),
        "src/app/(site)/docs/[...slug]/route.js": (
            "export async function GET(r, { params }) { const { slug } = await params; return Response.json(slug) }\n"
        ),
        "src/app/api/page.tsx": "export default function Page() { return <p>no route</p> }",
        "node_modules/x/app/api/x/route.ts": HELLO,
    }
    for name, text in files.items():
        file = tmp_path / "theirs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path / "theirs"


def test_each_route_file_is_written_to_its_place(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "next", str(theirs), "--to", str(tmp_path / "ours")]) == 0
    written = sorted(file.relative_to(tmp_path / "ours").as_posix() for file in (tmp_path / "ours").rglob("*.py"))
    assert written == [
        "app/(site)/docs/[...slug]/route.py",
        "app/api/hello/route.py",
        "app/api/posts/[post_id]/route.py",
    ]
    said = capsys.readouterr().out
    assert "[post-id] is called [post_id]" in said
    assert "2 of 3 handlers in 3 files are translated whole" in said
    assert "slug: list[str]" in (tmp_path / "ours/app/(site)/docs/[...slug]/route.py").read_text()


def test_a_file_that_is_there_is_left_alone(theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "ours/app/api/hello/route.py"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main(["import", "next", str(theirs), "--to", str(tmp_path / "ours")]) == 0
    assert mine.read_text() == "mine"
    assert "there already" in capsys.readouterr().out
    assert main(["import", "next", str(theirs), "--to", str(tmp_path / "ours"), "--force"]) == 0
    assert "async def GET" in mine.read_text()


def test_a_dry_run_writes_nothing_and_json_is_for_machines(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", "next", str(theirs), "--to", str(tmp_path / "ours"), "--dry-run", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert not (tmp_path / "ours").exists()
    assert [row["to"] for row in rows if row["notes"]] == ["app/api/posts/[post_id]/route.py"]
    assert all(row["written"] is False for row in rows)


def test_a_folder_without_routes_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "next", str(tmp_path)]) != 0
    assert "There is no app/**/route.ts" in capsys.readouterr().err
