"""cli/agents.py: what coding agents read of a project; the user's part of it stays."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path

import pytest

from turnout.cli import agents, new
from turnout.errors import ConfigError
from turnout.testing import Client


def project(folder: Path) -> Path:
    new.run(argparse.Namespace(name=str(folder), agents=False, json=False))
    return folder


def refresh(folder: Path) -> None:
    new.run(argparse.Namespace(name=str(folder), agents=True, json=False))


def test_a_new_project_has_it_and_it_is_short(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    text = (root / "AGENTS.md").read_text()

    assert (root / "CLAUDE.md").read_text() == "@AGENTS.md\n"
    assert len(text.splitlines()) <= 40
    index = "\n".join(line for line in text.splitlines() if line.startswith("Docs, "))
    assert len(index) <= 2_048 and "receive-webhooks" in index
    assert "Turnout is not FastAPI" in text and "python -m turnout.docs --path" in text


async def test_its_route_works(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    code = re.search(r"```python\n(.*?)```", agents.BLOCK, re.DOTALL)
    assert code is not None
    ast.parse(code[1])
    file = root / "app/api/notes/[id]/route.py"
    file.parent.mkdir(parents=True)
    file.write_text(code[1].replace('"notes"', '"posts"'))
    async with Client(root=root) as client:
        from turnout.db import db, migrate

        await migrate.migrate(db, root / "migrations")
        await db.from_("posts").insert({"title": "One", "content": "x"})
        assert (await client.get("/api/notes/1")).json()["title"] == "One"
        assert (await client.get("/api/notes/2")).status == 404


def test_what_stands_around_the_block_stays(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    file = root / "AGENTS.md"
    file.write_text("Ours, above.\n\n" + agents.BEGIN + "\nold\n" + agents.END + "\n\nOurs, below.\n")
    (root / "CLAUDE.md").write_text("mine\n")

    refresh(root)

    text = file.read_text()
    assert text.startswith("Ours, above.\n\n" + agents.BEGIN) and text.endswith(agents.END + "\n\nOurs, below.\n")
    assert "old" not in text.splitlines()
    assert (root / "CLAUDE.md").read_text() == "mine\n"


def test_a_file_without_the_marks_gets_the_block_at_its_end(tmp_path: Path) -> None:
    root = project(tmp_path / "shop")
    (root / "AGENTS.md").write_text("Ours.\n")

    refresh(root)
    refresh(root)

    text = (root / "AGENTS.md").read_text()
    assert text.startswith("Ours.\n\n" + agents.BEGIN) and text.count(agents.BEGIN) == 1


def test_who_opts_out_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = project(tmp_path / "shop")
    file = root / "pyproject.toml"
    file.write_text(file.read_text().replace("[tool.turnout]", "[tool.turnout]\nagent_rules = false", 1))
    (root / "AGENTS.md").unlink()

    refresh(root)

    assert "nothing is written" in capsys.readouterr().out and not (root / "AGENTS.md").exists()


def test_where_there_is_no_project_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no project"):
        refresh(tmp_path)
    assert list(tmp_path.iterdir()) == []
