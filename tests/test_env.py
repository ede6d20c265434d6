"""env.py: the syntax of .env files, their order, typed settings, and secrets that stay secret."""

from __future__ import annotations

import copy
import enum
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.env import Env, Secret, Settings, compare_with_example, env, load_env, parse_env, public_env
from turnout.errors import ConfigError


def read(tmp_path: Path, text: str, **process: str) -> dict[str, str]:
    (tmp_path / ".env").write_text(text)
    return load_env(tmp_path, "production", process=process)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("A = 1 ", "1"),
        ("export A=1", "1"),
        ("  export\tA=1\r\n", "1"),
        ("\ufeffA=1", "1"),
        ("A=", ""),
        ("A=\nB=2", ""),
        ("A=''", ""),
        ("A=a b  c", "a b  c"),
        ("A=1 # note", "1"),
        ("A=1# no note", "1# no note"),
        ("A= # note", ""),
        ("A=#fff", "#fff"),
        ("A=a=b=c", "a=b=c"),
        ("A='$B \\n # x'  # note", "$B \\n # x"),
        ('A="x # y"', "x # y"),
        ('A="one\ntwo"', "one\ntwo"),
        ("A='one\ntwo'", "one\ntwo"),
        ('A="one\\ntwo\\t\\"q\\" \\\\ \\$B \\x"', 'one\ntwo\t"q" \\ $B \\x'),
        ("A=C:\\new\\table", "C:\\new\\table"),
        ("A=\\$B", "$B"),
        ("A=5$", "5$"),
        ("A=$5 a$", "$5 a$"),
        ("B=x\nA=$B", "x"),
        ("A=$B\nB=x", "x"),
        ('B=x\nA="${B}y$B"', "xyx"),
        ("A=${B:-y}", "y"),
        ("B=\nA=${B:-y}", "y"),
        ("B=x\nA=${B:-y}", "x"),
        ("B='$C'\nA=$B", "$C"),
        ("A=1\nA=2", "2"),
        ("# c\n\n   # d\nA=1", "1"),
        ("A=ä€😀", "ä€😀"),
        ("A=x'y\"z", "x'y\"z"),
    ],
)
def test_a_value_is_read_as_a_shell_would(tmp_path, text, value):
    assert read(tmp_path, text)["A"] == value


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("A=1\nnonsense", 2, "not NAME=value"),
        ("A=1\n2B=1", 2, "not NAME=value"),
        ("\n\nA B=1", 3, "not NAME=value"),
        ("=1", 1, "not NAME=value"),
        ("X=1\nA='open\nB=2", 2, "never closes"),
        ('A="open\\"', 1, "never closes"),
        ('A="x" y', 1, "after the closing quote"),
        ('A="x\ny" z', 2, "after the closing quote"),
        ("A=$MISSING", 1, "refers to MISSING"),
        ("A=pa$word", 1, "refers to word"),
        ("A=${MISSING}", 1, "refers to MISSING"),
        ("A=${B-x}", 1, "neither"),
        ("A=$(whoami) ${}", 1, "neither"),
        ("A=$B\nB=$A", 1, "refers to itself (A -> B -> A)"),
        ("A=$A", 1, "refers to itself (A -> A)"),
        ("A=x\0y", 1, "NUL"),
    ],
)
def test_a_mistake_names_file_line_and_cure(tmp_path, text, line, said):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)

    assert said in caught.value.message
    assert (caught.value.file, caught.value.line) == (tmp_path / ".env", line)
    assert caught.value.cure


def test_a_long_chain_of_references_is_refused_and_no_recursion_error(tmp_path):
    with pytest.raises(ConfigError, match="more than 64"):
        read(tmp_path, "".join(f"A{n}=$A{n + 1}\n" for n in range(5000)))


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / ".env").write_bytes(b"A=\xff")

    with pytest.raises(ConfigError, match="not UTF-8"):
        load_env(tmp_path, "test")


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        ("development", ["process", ".env.development.local", ".env.local", ".env.development", ".env"]),
        ("production", ["process", ".env.production.local", ".env.local", ".env.production", ".env"]),
        ("test", ["process", ".env.test.local", ".env.test", ".env"]),
    ],
)
def test_the_first_layer_with_a_name_wins(tmp_path, mode, order):
    for file in (
        ".env",
        ".env.local",
        *(f".env.{m}{end}" for m in ("development", "test", "production") for end in ("", ".local")),
    ):
        (tmp_path / file).write_text(f"A={file}")
    process = {"A": "process"}

    seen = []
    for place in order:
        seen.append(load_env(tmp_path, mode, process=process)["A"])
        if place == "process":
            process.clear()
        else:
            (tmp_path / place).unlink()

    assert seen == order
    assert "A" not in load_env(tmp_path, mode, process={})


def test_a_reference_sees_the_winning_value_and_the_process_wins(tmp_path):
    (tmp_path / ".env").write_text("HOST=a\nURL=http://$HOST:$PORT\nPORT=1")
    (tmp_path / ".env.local").write_text("HOST=b")

    assert load_env(tmp_path, "production", process={"PORT": "$2"})["URL"] == "http://b:$2"


def test_an_overridden_value_is_not_even_expanded(tmp_path):
    assert read(tmp_path, "A=$NOWHERE", A="1")["A"] == "1"


names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
values = st.text(st.characters(exclude_characters="\0\r", exclude_categories=("Cs",)))


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


@settings(deadline=None)
@given(st.dictionaries(names, values), st.booleans())
def test_every_quoted_value_comes_back(tmp_path_factory, wanted, export):
    folder = tmp_path_factory.getbasetemp()
    lines = [f"{'export ' if export else ''}{name}={quoted(value)} # note\n" for name, value in wanted.items()]
    (folder / ".env").write_text("".join(lines), encoding="utf-8", newline="")

    assert load_env(folder, "production", process={}) == wanted


@settings(deadline=None, max_examples=300)
@given(st.text(st.sampled_from("AB=\"'$\\{}:-# \n\t\rexport0\0é")))
def test_any_text_gives_values_or_a_config_error_inside_the_file(tmp_path_factory, text):
    folder = tmp_path_factory.getbasetemp()
    (folder / ".env").write_text(text, encoding="utf-8", newline="")
    try:
        got = load_env(folder, "production", process={})
    except ConfigError as exc:
        assert exc.line is not None and 1 <= exc.line <= text.count("\n") + 1
    else:
        assert set(got) == {entry.name for entry in parse_env(text, folder / ".env")}


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("TURNOUT_TEST_KEY", raising=False)
    monkeypatch.setenv("TURNOUT_TEST_SET", "outside")
    yield tmp_path
    env.unload()


def test_loading_shows_the_values_to_other_libraries_and_unloading_takes_them_back(project):
    (project / ".env").write_text("TURNOUT_TEST_KEY=k\nTURNOUT_TEST_SET=inside")

    env.load(project, "production")
    loaded = os.environ["TURNOUT_TEST_KEY"], os.environ["TURNOUT_TEST_SET"], env["TURNOUT_TEST_SET"]
    env.unload()

    assert loaded == ("k", "outside", "outside")
    assert "TURNOUT_TEST_KEY" not in os.environ and "TURNOUT_TEST_KEY" not in env


def test_a_second_load_sees_the_edited_file(project):
    (project / ".env").write_text("TURNOUT_TEST_KEY=one")
    env.load(project, "production")
    (project / ".env").write_text("TURNOUT_TEST_KEY=two")
    env.load(project, "production")

    assert env["TURNOUT_TEST_KEY"] == os.environ["TURNOUT_TEST_KEY"] == "two"


def test_a_load_that_fails_changes_nothing(project):
    (project / ".env").write_text("TURNOUT_TEST_KEY=one")
    env.load(project, "production")
    (project / ".env").write_text("TURNOUT_TEST_KEY=two\nnonsense")
    with pytest.raises(ConfigError):
        env.load(project, "production")

    assert env["TURNOUT_TEST_KEY"] == os.environ["TURNOUT_TEST_KEY"] == "one"


def test_a_missing_name_says_where_it_was_looked_for(project):
    env.load(project, "development")

    with pytest.raises(ConfigError, match="TURNOUT_TEST_KEY is not set") as caught:
        env["TURNOUT_TEST_KEY"]

    assert ".env.development.local, .env.local, .env.development, .env" in caught.value.message
    assert ".env.local" in caught.value.cure
    assert env.get("TURNOUT_TEST_KEY") is None and env.get("TURNOUT_TEST_KEY", "x") == "x"


def test_the_repr_of_env_shows_no_values():
    assert "PATH" not in repr(Env()) and os.environ["PATH"] not in repr(Env())


def test_the_name_env_of_the_package_is_the_mapping():
    code = "import turnout.config; from turnout import env; env['PATH']; print(type(env).__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("Env\n", "")


def test_only_public_names_are_public():
    source = {"PUBLIC_URL": "u", "SECRET": "s", "NOT_PUBLIC_X": "x", "public_y": "y"}

    assert public_env(source) == {"PUBLIC_URL": "u"}


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Everything(Settings):
    name: str
    count: int
    ratio: float
    debug: bool
    folder: Path
    hosts: list[str]
    ports: list[int]
    colour: Colour
    level: Literal["low", "high"]
    key: Secret
    note: str | None
    page_size: int = 10


TEXTS = {
    "NAME": "",
    "COUNT": "7",
    "RATIO": "0.5",
    "DEBUG": "Yes",
    "FOLDER": "/x",
    "HOSTS": "a, b,,c",
    "PORTS": "1,2",
    "COLOUR": "red",
    "LEVEL": "high",
    "KEY": "sesame",
}


def test_settings_convert_every_type():
    got = Everything(TEXTS)

    assert (got.name, got.count, got.ratio, got.debug, got.folder) == ("", 7, 0.5, True, Path("/x"))
    assert (got.hosts, got.ports, got.colour, got.level) == (["a", "b", "c"], [1, 2], Colour.RED, "high")
    assert (got.key.reveal(), got.note, got.page_size) == ("sesame", None, 10)


def test_an_empty_value_is_a_missing_one_but_for_text_and_lists():
    assert Everything(TEXTS | {"PAGE_SIZE": ""}).page_size == 10
    assert Everything(TEXTS | {"HOSTS": ""}).hosts == []
    with pytest.raises(ConfigError, match="KEY is empty"):
        Everything(TEXTS | {"KEY": ""})


def test_all_that_is_missing_or_wrong_is_listed_at_once_and_no_value_is_shown():
    wrong = {"COUNT": "sesame", "RATIO": "sesame", "DEBUG": "sesame", "PORTS": "1,sesame", "COLOUR": "sesame"}
    with pytest.raises(ConfigError) as caught:
        Everything(TEXTS | wrong | {"LEVEL": "sesame", "PAGE_SIZE": "sesame", "FOLDER": ""})

    listed = [line.split()[0] for line in caught.value.message.splitlines()[1:]]
    assert listed == ["COUNT", "RATIO", "DEBUG", "FOLDER", "PORTS", "COLOUR", "LEVEL", "PAGE_SIZE"]
    assert "sesame" not in str(caught.value)


def test_a_wrong_value_says_which_line_it_came_from(project):
    class Keyed(Settings):
        turnout_test_key: int

    (project / ".env").write_text("\nTURNOUT_TEST_KEY=x")
    env.load(project, "production")

    with pytest.raises(ConfigError, match=r"must be a whole number \(from .env:2\)"):
        Keyed()


def test_a_type_that_no_text_converts_to_is_refused():
    class Odd(Settings):
        odd: dict[str, str]

    with pytest.raises(ConfigError, match="no text converts to"):
        Odd({"ODD": "x"})


def test_settings_do_not_change_and_do_not_print():
    got = Everything(TEXTS | {"NAME": "sesame"})

    with pytest.raises(AttributeError):
        got.count = 8
    assert "sesame" not in repr(got)


def test_a_secret_prints_nowhere():
    secret = Secret("sesame")

    shown = [str(secret), repr(secret), f"{secret}", f"{secret:>20}", f"{secret!r}", f"{secret}", repr([secret])]
    assert not [text for text in shown if "sesame" in text]
    for leak in (json.dumps, msgspec.json.encode, pickle.dumps, "".join, lambda s: "a" + s, list, vars):
        with pytest.raises(TypeError):
            leak(secret)
    assert copy.deepcopy(secret) is copy.copy(secret) is secret


def test_secrets_compare_by_value():
    assert Secret("a") == Secret("a") == "a"
    assert Secret("a") != Secret("b") and Secret("a") != 1
    assert {Secret("a"): 1}[Secret("a")] == 1
    assert Secret("x") and not Secret("")


def test_the_example_file_is_compared_both_ways(tmp_path):
    (tmp_path / ".env.example").write_text("A=\nB=\n")
    (tmp_path / ".env").write_text("B=1\nC=2\n")

    assert compare_with_example(tmp_path, {"B": "1", "C": "2", "PATH": "/"}, "production") == (["A"], ["C"])
    (tmp_path / ".env.example").unlink()
    assert compare_with_example(tmp_path, {}, "production") == ([], [])
