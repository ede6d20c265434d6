"""Profiles: what users say of themselves, one row for each."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from turnout import db

COLUMNS = "display_name, bio, updated_at"
EMPTY: dict[str, Any] = {"display_name": None, "bio": None, "updated_at": None}

DisplayName = Annotated[str, Meta(min_length=1, max_length=100)]
Bio = Annotated[str, Meta(max_length=2_000)]


class ProfileChanges(Struct):
    """What a user may change; what is left out stays as it is, null empties it."""

    display_name: DisplayName | UnsetType | None = UNSET
    bio: Bio | UnsetType | None = UNSET


async def get_profile(user_id: str) -> dict[str, Any]:
    """What *user_id* has said so far."""
    return await db.from_("profiles").select(COLUMNS).eq("user_id", user_id).single() or EMPTY


async def change_profile(user_id: str, changes: ProfileChanges) -> dict[str, Any]:
    """Keep *changes*, and give the whole profile."""
    values = msgspec.to_builtins(changes)
    if not values:
        return await get_profile(user_id)
    async with db.transaction() as tx:
        # The row is there after this, whoever else makes it at the same moment.
        await tx.from_("profiles").upsert({"user_id": user_id}, ignore_duplicates=True)
        await tx.from_("profiles").update(values).eq("user_id", user_id)
        await tx.sql("update profiles set updated_at = current_timestamp where user_id = :user_id", user_id=user_id)
    return await get_profile(user_id)
