"""Refresh tokens rotate: the five rules, on both engines."""

from __future__ import annotations

import asyncio

from tests.auth.world import ADA, PASSWORD, refused, world
from turnout.auth.keys import Keys, make_key
from turnout.auth.tokens import stored


async def test_a_refresh_token_is_followed_by_another(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        assert second.refresh_token != first.refresh_token
        assert second.user.email == ADA
        assert (await w.auth.get_user(second.access_token)).id == first.user.id


async def test_fifty_concurrent_refreshes_of_one_token_leave_one_live_family(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        found = await asyncio.gather(*(w.auth.refresh(first.refresh_token) for _ in range(50)))
        assert len({each.refresh_token for each in found}) == 1
        assert len(await w.rows("select id from auth.refresh_tokens where revoked = false")) == 1
        third = await w.auth.refresh(found[0].refresh_token)
        assert (await w.auth.get_user(third.access_token)).id == first.user.id


async def test_the_parent_of_the_active_token_gives_the_active_token_again_at_any_time(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        w.later(86_400)
        assert (await w.auth.refresh(first.refresh_token)).refresh_token == second.refresh_token
        assert (await w.auth.refresh(second.refresh_token)).refresh_token != second.refresh_token


async def test_an_older_token_gives_the_active_one_within_the_reuse_interval(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        third = await w.auth.refresh(second.refresh_token)
        w.later(9)
        assert (await w.auth.refresh(first.refresh_token)).refresh_token == third.refresh_token


async def test_an_older_token_ends_the_family_after_the_reuse_interval_and_that_is_committed(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        other = await w.auth.sign_in_with_password(ADA, PASSWORD)
        second = await w.auth.refresh(first.refresh_token)
        third = await w.auth.refresh(second.refresh_token)
        w.later(11)
        with refused("refresh_token_already_used", 400):
            await w.auth.refresh(first.refresh_token)
        for token in (first, second, third):
            with refused("session_expired", 400):
                await w.auth.refresh(token.refresh_token)
        with refused("session_not_found", 403):
            await w.auth.get_user(third.access_token)
        assert (await w.auth.refresh(other.refresh_token)).user.email == ADA


async def test_a_reuse_interval_of_nothing_leaves_the_one_retry(place: str) -> None:
    async with world(place, refresh_reuse_s=0) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        assert (await w.auth.refresh(first.refresh_token)).refresh_token == second.refresh_token
        await w.auth.refresh(second.refresh_token)
        w.later(0.001)
        with refused("refresh_token_already_used"):
            await w.auth.refresh(first.refresh_token)


async def test_an_unknown_token_is_not_found_whatever_it_looks_like(place: str) -> None:
    async with world(place) as w:
        await w.user()
        for token in ("", "x", "x" * 10_000, "ü\ud800", "' or 1=1 --", "a\0b"):
            with refused("refresh_token_not_found", 400):
                await w.auth.refresh(token)


async def test_a_token_of_a_session_that_was_signed_out_is_not_found(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        await w.auth.sign_out(first.access_token)
        with refused("refresh_token_not_found", 400):
            await w.auth.refresh(first.refresh_token)


async def test_the_table_holds_hashes_and_no_tokens(place: str) -> None:
    async with world(place) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        rows = await w.rows("select * from auth.refresh_tokens order by created_at, parent")
        assert {row["token"] for row in rows} == {stored(first.refresh_token), stored(second.refresh_token)}
        text = str(rows)
        assert first.refresh_token not in text and second.refresh_token not in text
        for row in rows:
            with refused("refresh_token_not_found"):
                await w.auth.refresh(row["token"])


async def test_a_lost_answer_can_be_asked_for_again_after_the_keys_were_rotated(place: str) -> None:
    old, new = make_key(), make_key()
    async with world(place, ring=Keys.of([old])) as w:
        first = await w.user()
        second = await w.auth.refresh(first.refresh_token)
        ring = Keys.of([new, old])
        w.auth.tokens.keys = w.auth.keys = ring
        assert (await w.auth.refresh(first.refresh_token)).refresh_token == second.refresh_token
        third = await w.auth.refresh(second.refresh_token)
        assert (await w.auth.refresh(second.refresh_token)).refresh_token == third.refresh_token


async def test_a_session_ends_after_its_greatest_age_and_after_idling(place: str) -> None:
    async with world(place, session_max_s=1000, session_idle_s=300) as w:
        session = await w.user()
        w.later(299)
        session = await w.auth.refresh(session.refresh_token)
        w.later(299)
        assert await w.auth.get_user(session.access_token)
        w.later(2)
        with refused("session_not_found", 403):
            await w.auth.get_user(session.access_token)
        with refused("session_expired", 400):
            await w.auth.refresh(session.refresh_token)
        other = await w.auth.sign_in_with_password(ADA, PASSWORD)
        for _ in range(4):
            w.later(249)
            other = await w.auth.refresh(other.refresh_token)
        w.later(5)
        with refused("session_expired", 400):
            await w.auth.refresh(other.refresh_token)


async def test_a_banned_user_does_not_refresh(place: str) -> None:
    async with world(place) as w:
        session = await w.user()
        # A ban that we set ends the sessions; one that another server wrote is looked at too.
        async with w.auth.store.transaction() as tx:
            await tx.update("users", session.user.id, {"banned_until": w.auth.now().replace(year=2999)})
        with refused("user_banned", 400):
            await w.auth.refresh(session.refresh_token)
        with refused("user_banned", 403):
            await w.auth.get_user(session.access_token)
