"""ai/apply.py and ai/tree.py: all of a proposal or nothing, over what it was made from, wherever it is cut short."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from turnout.ai.apply import Conflict, Entry, Journal, Refused, apply, merged, recover, undo
from turnout.ai.changeset import ChangeSet, FileChange, sha256
from turnout.ai.runs import open_store
from turnout.ai.tree import NotPlain, Tree
from turnout.ai.view import ProjectView
from turnout.errors import ConfigError

OLD = "".join(f"line {number}\n" for number in range(20))
FILES = {"app/api/old/route.py": OLD, "lib/gone.py": "GONE = 1\n", ".env.example": "# names\nFIRST=\n"}


def project(root: Path) -> Path:
    for path, text in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def change_of(root: Path) -> ChangeSet:
    """One file changed, two new ones in new folders, one removed, a name for the environment."""
    view = ProjectView(root)
    files = [
        view.change("app/api/old/route.py", OLD.replace("line 3", "line three")),
        view.change("app/api/new/[id]/route.py", "NEW = 1\n"),
        view.change("lib/deep/er.py", "DEEP = 1\n"),
        view.change("lib/gone.py", None),
    ]
    return ChangeSet("", files=files, env=["FIRST", "SECOND"])


def state(root: Path) -> dict[str, str]:
    """Every file and folder of the project but the run store."""
    found = (path for path in sorted(root.rglob("*")) if ".turnout" not in path.parts)
    return {str(path.relative_to(root)): path.read_text() if path.is_file() else "" for path in found}


def test_what_is_applied_is_on_the_disk_whole(tmp_path):
    root = project(tmp_path)

    journal = apply(root, change_of(root), run="r")

    after = state(root)
    assert "line three" in after["app/api/old/route.py"] and after["lib/deep/er.py"] == "DEEP = 1\n"
    assert "lib/gone.py" not in after and after["app/api/new/[id]/route.py"] == "NEW = 1\n"
    assert after[".env.example"] == "# names\nFIRST=\nSECOND=\n"
    assert len(journal.entries) == 5 and not [path for path in after if "turnout-" in path]


def test_undo_gives_back_every_byte_and_takes_the_new_folders_away(tmp_path):
    root = project(tmp_path)
    before = state(root)
    journal = apply(root, change_of(root), run="r")

    undo(root, journal)

    assert state(root) == before


def test_undo_keeps_what_was_written_since(tmp_path):
    root = project(tmp_path)
    journal = apply(root, change_of(root), run="r")
    file = root / "app/api/old/route.py"
    file.write_text(file.read_text().replace("line 15", "line fifteen"))

    undo(root, journal)

    assert file.read_text() == OLD.replace("line 15", "line fifteen")


def test_undo_of_lines_that_changed_again_is_refused_and_changes_nothing(tmp_path):
    root = project(tmp_path)
    journal = apply(root, change_of(root), run="r")
    (root / "app/api/old/route.py").write_text(OLD.replace("line 3", "line 3 of mine"))
    before = state(root)

    with pytest.raises(Conflict, match=r"app/api/old/route\.py"):
        undo(root, journal)
    assert state(root) == before


def test_undo_leaves_what_it_is_told_to_keep(tmp_path):
    root = project(tmp_path)
    journal = apply(root, change_of(root), run="r")

    undo(root, journal, keep=frozenset(["lib/deep/er.py"]))

    assert (root / "lib/deep/er.py").exists() and not (root / "app/api/new").exists()


@pytest.mark.parametrize("path", ["app/api/old/route.py", "app/api/new/[id]/route.py", "lib/gone.py", ".env.example"])
def test_a_file_that_moved_on_stops_all_of_it(tmp_path, path):
    root = project(tmp_path)
    change = change_of(root)
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text("somebody else's\n")
    if path == ".env.example":  # names are added to it as it is now
        apply(root, change, run="r")
        assert (root / path).read_text().startswith("somebody else's\n")
        return
    before = state(root)

    with pytest.raises(Conflict, match="changed meanwhile"):
        apply(root, change, run="r")
    assert state(root) == before


def test_a_proposal_is_put_on_top_of_what_moved_on(tmp_path):
    root = project(tmp_path)
    change = change_of(root)
    (root / "app/api/old/route.py").write_text(OLD.replace("line 15", "line fifteen"))

    again = merged(root, change, {"app/api/old/route.py": OLD})
    apply(root, again, run="r")

    assert (root / "app/api/old/route.py").read_text() == OLD.replace("line 3", "line three").replace(
        "line 15", "line fifteen"
    )


def test_both_changing_one_line_is_a_conflict(tmp_path):
    root = project(tmp_path)
    change = change_of(root)
    (root / "app/api/old/route.py").write_text(OLD.replace("line 3", "line 3 of mine"))

    with pytest.raises(Conflict):
        merged(root, change, {"app/api/old/route.py": OLD})


def test_without_git_what_moved_on_is_a_conflict(tmp_path, monkeypatch):
    root = project(tmp_path)
    change = change_of(root)
    (root / "app/api/old/route.py").write_text(OLD + "more\n")
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))

    with pytest.raises(Conflict):
        merged(root, change, {"app/api/old/route.py": OLD})


def test_permissions_of_a_changed_file_stay(tmp_path):
    root = project(tmp_path)
    (root / "app/api/old/route.py").chmod(0o640)

    apply(root, change_of(root), run="r")

    assert (root / "app/api/old/route.py").stat().st_mode & 0o777 == 0o640


def test_a_refused_path_stops_all_of_it(tmp_path):
    root = project(tmp_path)
    before = state(root)

    with pytest.raises(Refused, match="TRN171"):
        apply(root, ChangeSet("", files=[*change_of(root).files, FileChange("../evil.py", None, "x")]), run="r")
    assert state(root) == before and not (tmp_path.parent / "evil.py").exists()


# -- links


def test_a_folder_that_became_a_link_after_it_was_judged_is_not_followed(tmp_path):
    root, outside = project(tmp_path / "project"), tmp_path / "outside"
    outside.mkdir()
    shutil.rmtree(root / "lib")
    (root / "lib").symlink_to(outside)

    with Tree(root) as tree:
        for step in (lambda: tree.stage("lib/x.py", "spare", b"x"), lambda: tree.read("lib/x.py")):
            with pytest.raises(NotPlain):
                step()
    assert list(outside.iterdir()) == []


def test_a_link_in_place_of_a_file_is_neither_read_nor_written_through(tmp_path):
    root, secret = project(tmp_path / "project"), tmp_path / "secret"
    secret.write_text("secret")
    (root / "lib/link.py").symlink_to(secret)

    with Tree(root) as tree:
        with pytest.raises(NotPlain):
            tree.read("lib/link.py")
        tree.stage("lib/link.py", ".spare", b"mine")
        tree.put("lib/link.py", ".spare")
    assert secret.read_text() == "secret" and not (root / "lib/link.py").is_symlink()


def test_a_new_file_never_takes_the_place_of_one_that_just_appeared(tmp_path):
    root = project(tmp_path)
    with Tree(root) as tree:
        tree.stage("lib/new.py", ".spare", b"mine")
        (root / "lib/new.py").write_text("theirs")
        with pytest.raises(FileExistsError):
            tree.put("lib/new.py", ".spare", new=True)
    assert (root / "lib/new.py").read_text() == "theirs"


def test_the_run_store_is_not_made_through_a_link(tmp_path):
    root = project(tmp_path / "project")
    (tmp_path / "outside").mkdir()
    (root / ".turnout").symlink_to(tmp_path / "outside")

    with pytest.raises(ConfigError, match="is a link"):
        apply(root, change_of(root), run="r")
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("path", ["../evil.py", ".env", "pyproject.toml", "/tmp/evil.py", "lib/../../evil.py"])
def test_a_journal_that_came_with_the_project_is_not_obeyed(tmp_path, path):
    root = project(tmp_path / "project")
    store = open_store(root)
    (store / "journal.json").write_bytes(msgspec.json.encode(Journal("r", [Entry(path, None, b"evil")])))
    before = state(tmp_path)

    with pytest.raises(ConfigError, match="remove the folder"):
        recover(root)
    with pytest.raises(ConfigError, match="never does"):
        undo(root, Journal("r", [Entry(path, b"evil", None)]))
    assert state(tmp_path) == before


def test_no_step_leads_out_of_the_project(tmp_path):
    root = project(tmp_path / "project")
    with Tree(root) as tree:
        for path in ("../x", "lib/../../x", "lib//x", "./x", "/x"):
            with pytest.raises(NotPlain):
                tree.stage(path, "spare", b"x")


# -- crashes

# For each project named after its number, a child applies and kills itself with SIGKILL at that step of those that
# touch the disk: opening for writing, renaming, linking, removing, making a folder, and around each fsync.
KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from turnout.ai.apply import apply, undo
from turnout.ai.runs import open_store
from test_apply import change_of
import asyncio, tempfile, unicodedata
WRITES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir"}

def child(root, at):
    change = change_of(root)
    open_store(root)
    seen = 0
    def step():
        nonlocal seen
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGKILL)
    real = os.fsync
    def fsync(fd):
        step(); real(fd); step()
    os.fsync = fsync
    def hook(event, args):
        if event in WRITES or (event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
            step()
    sys.addaudithook(hook)
    journal = apply(root, change, run="r")
    if sys.argv[2] == "undo":
        undo(root, journal)
    return seen

for name in sys.argv[3:]:
    root = Path(name)
    pid = os.fork()
    if pid == 0:
        print(child(root, int(root.name)), flush=True)
        os._exit(0)
    print(name, os.waitpid(pid, 0)[1], flush=True)
"""


def killed(then: str, *roots: Path) -> list[str]:
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), then, *map(str, roots)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout.splitlines()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("then", ["apply", "undo"])
def test_a_kill_at_any_write_leaves_the_project_as_before_or_as_after(tmp_path, then):
    whole = project(tmp_path / "0")
    before = state(whole)
    steps = int(killed(then, whole)[0])
    apply(project(tmp_path / "after"), change_of(tmp_path / "after"), run="r")
    after = state(tmp_path / "after")
    roots = [project(tmp_path / str(at)) for at in range(1, steps + 1)]
    seen = []

    for root, line in zip(roots, killed(then, *roots), strict=True):
        assert line == f"{root} {signal.SIGKILL}"
        recover(root)
        assert state(root) in (before, after), root.name
        seen.append(state(root) == after)
        assert recover(root) is None

    assert steps > 40 and True in seen and False in seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_crash_what_somebody_changed_since_stays_and_the_rest_goes_back(tmp_path):
    roots = [project(tmp_path / str(at)) for at in range(1, 40)]
    killed("apply", *roots)
    begun = [root for root in roots if (root / ".turnout/ai/journal.json").exists()]
    root = next(root for root in begun if "line three" in (root / "app/api/old/route.py").read_text())
    (root / "lib/gone.py").write_text("THEIRS = 1\n")

    recover(root)

    assert state(root) == {**state(project(tmp_path / "fresh")), "lib/gone.py": "THEIRS = 1\n"}


def test_hashes_are_of_the_bytes():
    assert sha256("é") == sha256("é".encode())
