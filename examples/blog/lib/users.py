"""Accounts: until Turnout's auth is there, this hashes passwords with what Python brings along."""

import asyncio
import base64
import hashlib
import os
from typing import Annotated, Any

from msgspec import Meta, Struct
from turnout import Conflict, DbError, db

from lib.email import Email, OneLine


class NewUser(Struct, forbid_unknown_fields=True):
    email: Email
    name: OneLine = ""
    # May be left out, as nothing asks for it yet: the token in the answer signs the user in.
    password: Annotated[str, Meta(min_length=8, max_length=200)] | None = None


async def create_user_account(new: NewUser) -> dict[str, Any]:
    """Create an account and give what its owner may see of it.

    Raises:
        Conflict: the address has an account.
    """
    # In a thread: a good password hash takes a tenth of a second, and the other requests should not wait.
    password_hash = await asyncio.to_thread(hash_password, new.password) if new.password is not None else None
    row = {"email": new.email.lower(), "name": new.name, "password_hash": password_hash}
    try:
        # The columns are named: the hash leaves the database only where somebody asks for it.
        user = await db.from_("users").insert(row).select("id, email, name, created_at").single()
    except DbError as exc:
        if exc.code == "23505":  # the unique column decides; asking first would leave a gap for a second request
            raise Conflict("There is an account with this e-mail address", code="email_taken") from None
        raise
    assert user is not None
    return user


def hash_password(password: str) -> str:
    """``scrypt$n$r$p$salt$hash``: a salt for each password, and the cost beside it so that it can grow."""
    n, r, p = 2**14, 8, 5  # 16 MB; OWASP's Password Storage Cheat Sheet
    salt = os.urandom(16)
    hashed = hashlib.scrypt(password.encode(), salt=salt, n=n, r=r, p=p, dklen=32)
    return f"scrypt${n}${r}${p}${base64.b64encode(salt).decode()}${base64.b64encode(hashed).decode()}"
