"""Passwords: what is hashed, what is verified, and how much of it is done at once."""

from __future__ import annotations

import asyncio

import bcrypt
import pytest
from argon2 import PasswordHasher

from tests.auth.world import refused
from turnout.auth.errors import AuthError
from turnout.auth.passwords import QUEUE, THREADS, Passwords, is_hash
from turnout.errors import ConfigError


async def test_a_hash_is_bcrypt_of_the_usual_cost_and_another_each_time() -> None:
    mine = Passwords()
    hashed = await mine.hash("correct horse")
    assert hashed.startswith("$2b$10$")
    assert bcrypt.checkpw(b"correct horse", hashed.encode())
    assert await mine.hash("correct horse") != hashed
    assert await mine.verify("correct horse", hashed)
    assert not await mine.verify("correct horsf", hashed)
    mine.close()


@pytest.mark.parametrize("kind", ["a", "b", "y"])
async def test_the_kinds_of_bcrypt_that_other_servers_write_are_verified(kind: str) -> None:
    mine = Passwords(4)
    hashed = bcrypt.hashpw(b"pa55word", bcrypt.gensalt(4)).decode().replace("$2b$", f"$2{kind}$")
    assert await mine.verify("pa55word", hashed)
    assert not await mine.verify("pa55wore", hashed)
    mine.close()


async def test_argon2id_is_verified() -> None:
    mine = Passwords(4)
    hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("pässwörd")
    assert await mine.verify("pässwörd", hashed)
    assert not await mine.verify("password", hashed)
    mine.close()


REST = "c2FsdHNhbHQ$" + "a" * 22


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "$2b$10$short",
        "$2b$31$" + "a" * 53,
        "$1$abc$def",
        "pbkdf2$x",
        "$argon2i$v=19$m=64,t=1,p=1$" + REST,
        "$argon2id$v=19$m=4194304,t=1,p=1$" + REST,
        "$argon2id$v=19$m=64,t=99,p=1$" + REST,
    ],
)
async def test_a_hash_of_another_kind_or_of_too_much_work_is_no_hash_and_verifies_nothing(text: str) -> None:
    mine = Passwords(4)
    assert not is_hash(text)
    assert not await mine.verify("nobody", text)
    mine.close()


async def test_no_hash_at_all_is_as_much_work_as_a_wrong_password() -> None:
    mine = Passwords(4)
    hashed = await mine.hash("right password")
    for known in (hashed, None, "", "$2b$broken"):
        before = mine.work
        assert not await mine.verify("wrong password", known)
        assert mine.work == before + 1
    assert not await mine.verify("nobody", None)
    mine.close()


@pytest.mark.parametrize("password", ["x" * 73, "ü" * 37, "a\0b", "\ud800"])
async def test_a_password_over_72_bytes_or_no_text_is_refused_before_it_is_hashed(password: str) -> None:
    mine = Passwords(4)
    for call in (mine.hash(password), mine.verify(password, None)):
        with refused("validation_failed", 400):
            await call
    assert mine.work == 0
    assert await mine.hash("x" * 72)
    mine.close()


async def test_a_crowd_beyond_threads_and_queue_is_refused_and_the_others_are_served() -> None:
    mine = Passwords(8)
    found = await asyncio.gather(*(mine.hash("password") for _ in range(60)), return_exceptions=True)
    served = [each for each in found if isinstance(each, str)]
    turned_away = [each for each in found if isinstance(each, AuthError)]
    assert (len(served), len(turned_away)) == (THREADS + QUEUE, 60 - THREADS - QUEUE)
    assert {(each.code, each.status, each.headers) for each in turned_away} == {
        ("over_request_rate_limit", 429, (("retry-after", "1"),))
    }
    assert await mine.hash("password")
    mine.close()


async def test_a_caller_that_is_cancelled_leaves_its_place() -> None:
    mine = Passwords(8)
    tasks = [asyncio.ensure_future(mine.hash("password")) for _ in range(THREADS + QUEUE)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for _ in range(12_000):  # those that run are not stopped
        if not mine._waiting:
            break
        await asyncio.sleep(0.005)
    assert mine.work <= THREADS + 1
    assert await mine.hash("password")
    mine.close()


@pytest.mark.parametrize("cost", [3, 16])
def test_a_cost_out_of_range_stops_the_start(cost: int) -> None:
    with pytest.raises(ConfigError):
        Passwords(cost)
