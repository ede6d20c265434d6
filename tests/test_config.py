"""config.py: [tool.turnout], its defaults, and what is said about each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.config import Config, load_config
from turnout.errors import ConfigError

HEAD = '[project]\nname = "x"\n\n'


def load(folder: Path, text: str, mode: str = "development", **values: str) -> Config:
    (folder / "pyproject.toml").write_text(HEAD + text)
    return load_config(folder, mode, values)


def test_a_project_without_settings_gets_the_defaults(tmp_path):
    config = load_config(tmp_path, "development", {})

    assert config.allowed_hosts == ["localhost", "127.0.0.1", "[::1]"]
    assert (config.root, config.mode, config.app_dir, config.sync_threads) == (tmp_path, "development", "app", 40)
    assert (config.server.port, config.server.workers, config.limits.json_bytes) == (8000, None, 1_000_000)
    assert config.database_url == str(tmp_path / "data" / "app.db")


def test_every_table_is_read(tmp_path):
    config = load(
        tmp_path,
        """
        [tool.turnout]
        allowed_hosts = ["example.com"]
        trusted_proxies = ["10.0.0.0/8"]
        origin = "https://example.com"
        trailing_slash = true
        data_dir = "var"
        [tool.turnout.server]
        port = 0
        drain_s = 2.5
        keep_alive_s = 5
        [tool.turnout.limits]
        json_bytes = 10
        """,
        "production",
    )

    assert (config.allowed_hosts, config.trusted_proxies) == (["example.com"], ["10.0.0.0/8"])
    assert (config.origin, config.trailing_slash) == ("https://example.com", True)
    assert (config.server.port, config.server.drain_s, config.server.keep_alive_s) == (0, 2.5, 5)
    assert config.limits.json_bytes == 10
    assert config.database_url == str(tmp_path / "var" / "app.db")


def test_the_environment_wins_over_the_file(tmp_path):
    values = {"PORT": "9", "HOST": "0.0.0.0", "WEB_CONCURRENCY": "3", "DATABASE_URL": "postgres://x/y"}
    config = load(tmp_path, "[tool.turnout.server]\nport = 1\nhost = 'localhost'", **values)

    assert (config.server.port, config.server.host, config.server.workers) == (9, "0.0.0.0", 3)
    assert config.database_url == "postgres://x/y"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[tool.turnout]\nallowed_host = []", 5, "did you mean allowed_hosts?"),
        ("[tool.turnout]\nxyzzy = 1", 5, "known here: agent_rules, ai, allowed_hosts"),
        ("[tool.turnout]\ndatabase_url = 'x'", 5, "set DATABASE_URL in .env"),
        ("[tool.turnout]\nroot = '/'", 5, "root is no setting"),
        ("[tool.turnout]\n\norigin = 3", 6, "origin must be a text, not 3"),
        ("[tool.turnout]\norigin = 'example.com'", 5, "a scheme and a host"),
        ("[tool.turnout]\norigin = 'https://example.com/x'", 5, "a scheme and a host"),
        ("[tool.turnout]\ntrailing_slash = 'yes'", 5, "true or false"),
        ("[tool.turnout]\nallowed_hosts = 'x'", 5, "a list of texts"),
        ("[tool.turnout]\nallowed_hosts = [1]", 5, "a list of texts"),
        ("[tool.turnout]\nallowed_hosts = ['https://x']", 5, "not a host name"),
        ("[tool.turnout]\ntrusted_proxies = ['x']", 5, "not an address or a network"),
        ("[tool.turnout]\nsync_threads = true", 5, "a whole number"),
        ("[tool.turnout]\nsync_threads = 0", 5, "1 or more"),
        ("[tool.turnout]\nsync_threads = 1.5", 5, "a whole number"),
        ("[tool.turnout]\napp_dir = '../x'", 5, "a folder inside the project"),
        ("[tool.turnout]\ndata_dir = ''", 5, "not empty"),
        ("[tool.turnout]\nserver = 3", 5, "write [tool.turnout.server]"),
        ("[tool.turnout.server]\nprot = 1", 5, "did you mean port?"),
        ("[tool.turnout.server]\nport = 65536", 5, "from 0 to 65535"),
        ("[tool.turnout.server]\nport = '80'", 5, "a whole number"),
        ("[tool.turnout.server]\nheader_timeout = 3", 5, "did you mean header_timeout_s?"),
        ("[tool.turnout.server]\nheader_timeout_s = -1", 5, "0.001 or more"),
        ("[tool.turnout.server]\nheader_timeout_s = nan", 5, "0.001 or more"),
        ("[tool.turnout.server]\ndrain_s = inf", 5, "0 or more"),
        ("[tool.turnout.limits]\njson_bytes = 0", 5, "1 or more"),
        ("[tool.turnout.limits]\njson = 5", 5, "did you mean json_bytes?"),
        ("[tool.turnot", 4, "not TOML"),
        ("[tool.turnout]\na = [\n", 6, "not TOML"),
        ("[tool]\nturnout = 3", 5, "write [tool.turnout]"),
    ],
)
def test_a_mistake_names_file_line_and_cure(tmp_path, text, line, said):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)

    assert said in str(caught.value)
    assert (caught.value.file, caught.value.line) == (tmp_path / "pyproject.toml", line)


def test_all_mistakes_are_listed_at_once_in_the_order_of_the_file(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            "[tool.turnout]\nprot = 1\n[tool.turnout.limits]\nmax_parts = 0\n[tool.turnout.server]\nworkers = 'x'",
            "production",
            PORT="eighty",
        )

    listed = caught.value.message.splitlines()
    assert listed[0] == "5 settings are wrong:"
    assert ["PORT in the env" in line for line in listed].index(True) == 1
    assert [line.split(":")[0].strip() for line in listed[3:]] == ["line 5", "line 7", "line 9"]
    assert caught.value.line == 5


@pytest.mark.parametrize("text", ["", "[tool.turnout]\nallowed_hosts = []"])
def test_production_must_name_its_hosts(tmp_path, text):
    with pytest.raises(ConfigError, match="allowed_hosts is missing") as caught:
        load(tmp_path, text, "production")

    assert "allowed_hosts = [" in caught.value.cure


@pytest.mark.parametrize("values", [{"PORT": "x"}, {"PORT": "99999"}, {"WEB_CONCURRENCY": "0"}, {"PORT": "²"}])
def test_a_wrong_variable_is_named(tmp_path, values):
    with pytest.raises(ConfigError, match=f"{next(iter(values))} in the environment must be"):
        load(tmp_path, "", **values)


def test_an_empty_variable_counts_as_missing(tmp_path):
    assert load(tmp_path, "", PORT="").server.port == 8000


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "pyproject.toml").write_bytes(b"a = '\xff'")

    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(tmp_path, "development", {})


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("sqlite:///var/x.db", "{root}/var/x.db"),
        ("sqlite:////var/x.db", "/var/x.db"),
        ("var/x.db", "{root}/var/x.db"),
        ("/var/x.db", "/var/x.db"),
        (":memory:", ":memory:"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgres://u@h/x", "postgres://u@h/x"),
    ],
)
def test_a_relative_database_is_one_in_the_project(tmp_path, url, seen):
    assert load(tmp_path, "", DATABASE_URL=url).database_url == seen.format(root=tmp_path)
