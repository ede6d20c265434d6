"""One-time codes and links, and the PKCE flows that some of them end in.

A code is six digits; a link holds what a key makes of them. Of both the table has one hash, and it
is a keyed one: six digits can be guessed from a plain hash within a second, and a link made from an
address and six digits could be guessed by those who know the address. There is one row for each
user and purpose; it works once, for an hour, and is void after five wrong tries.

A flow remembers a client's challenge (RFC 7636) until it comes back with the code and the verifier.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from .errors import AuthError, invalid
from .keys import Keys
from .store import Row, Tx, moment
from .tokens import stored

CONFIRMATION, RECOVERY, REAUTHENTICATION = "confirmation_token", "recovery_token", "reauthentication_token"
CHANGE_NEW, CHANGE_CURRENT = "email_change_token_new", "email_change_token_current"
# What a client calls it when it comes back -> what it may have been sent as.
KINDS = {
    "signup": (CONFIRMATION,),
    "invite": (CONFIRMATION,),
    "recovery": (RECOVERY,),
    "magiclink": (RECOVERY,),
    "email": (CONFIRMATION, RECOVERY),
    "email_change": (CHANGE_NEW, CHANGE_CURRENT),
}
PKCE = "pkce_"
MAX_TRIES = 5
FLOW_S = 300  # from a flow's code to its exchange
BEGUN_S = 3600  # from a flow's beginning to its code; a mail is read later than at once
_CHALLENGE = re.compile(r"[A-Za-z0-9\-._~]{43,128}")


class Code(NamedTuple):
    """A new code: the digits to type, and the token of the link."""

    otp: str
    token: str


class Codes:
    """Makes codes, and takes them back.

    Args:
        lifetime_s: How long one works.
        clock: Unix seconds.
    """

    def __init__(self, keys: Keys, lifetime_s: int, clock: Callable[[], float]) -> None:
        self.keys, self.lifetime_s, self.clock = keys, lifetime_s, clock

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def _token(self, key: bytes, user_id: str, kind: str, email: str, otp: str) -> str:
        message = "\0".join((user_id, kind, email, otp)).encode(errors="surrogatepass")
        return hmac.digest(key, message, "sha224").hex()

    async def issue(self, tx: Tx, user_id: str, kind: str, email: str, *, pkce: bool = False) -> Code:
        """A new code for *email*; the one before it, for the same purpose, is void."""
        otp = f"{secrets.randbelow(1_000_000):06d}"
        token = (PKCE if pkce else "") + self._token(self.keys.codes[0], user_id, kind, email, otp)
        await self.void(tx, user_id, (kind,))
        now = self._now()
        row = {
            "id": str(uuid.uuid4()), "user_id": user_id, "token_type": kind, "token_hash": stored(token),
            "relates_to": email, "created_at": now, "updated_at": now, "attempts": 0,
        }  # fmt: skip
        await tx.insert("one_time_tokens", row)
        return Code(otp, token)

    async def void(self, tx: Tx, user_id: str, kinds: Iterable[str]) -> None:
        """Make the codes of *kinds* useless."""
        for kind in kinds:
            await tx.run(
                "delete from auth.one_time_tokens where user_id = :user_id and token_type = :kind", user_id=user_id,
                kind=kind,
            )  # fmt: skip

    async def spend_token(self, tx: Tx, token: str, kinds: Iterable[str]) -> Row | None:
        """The row of a link's token, which is thereby used up; None if it is unknown, old or of another kind."""
        if not 0 < len(token) <= 128:
            return None
        row = await tx.one("select * from auth.one_time_tokens where token_hash = :hashed", hashed=stored(token))
        if row is None or row["token_type"] not in kinds:
            return None
        await tx.user(row["user_id"])  # locked before its code, here as everywhere
        return row if await self._used(tx, row) else None

    async def spend_otp(self, tx: Tx, user_id: str, email: str, otp: str, kinds: Iterable[str]) -> Row | None:
        """The row of the digits that were sent to *email*; a wrong try counts against each that it could have been.

        The caller holds the user's row, and commits also when the answer is None.
        """
        wanted = tuple(kinds)
        rows = [
            row
            for row in await tx.rows("select * from auth.one_time_tokens where user_id = :user_id", user_id=user_id)
            if row["token_type"] in wanted and row["relates_to"] == email
        ]
        found = None
        for row in rows:
            if self._matches(row, otp):
                found = row
        if found is not None:
            return found if await self._used(tx, found) else None
        for row in rows:
            if row["attempts"] + 1 >= MAX_TRIES:
                await tx.run("delete from auth.one_time_tokens where id = :id", id=row["id"])
            else:
                await tx.update("one_time_tokens", row["id"], {"attempts": row["attempts"] + 1})
        return None

    def _matches(self, row: Row, otp: str) -> bool:
        same = False
        for key in self.keys.codes:
            token = self._token(key, row["user_id"], row["token_type"], row["relates_to"], otp)
            for prefix in ("", PKCE):
                same |= hmac.compare_digest(stored(prefix + token), row["token_hash"])
        return same

    async def _used(self, tx: Tx, row: Row) -> bool:
        gone = await tx.run("delete from auth.one_time_tokens where id = :id", id=row["id"])
        made = moment(row["created_at"])
        return gone == 1 and made is not None and self._now() - made < timedelta(seconds=self.lifetime_s)

    async def as_if(self, tx: Tx) -> None:
        """Write and take back: where nobody is to be told apart by it, nothing to note takes as long as a note."""
        flow_id = await self.begin(tx, None, None, how="nothing")
        await tx.run("delete from auth.flow_state where id = :id", id=flow_id)

    # --- flows ---

    async def begin(
        self, tx: Tx, challenge: str | None, method: str | None, *, provider: str = "email", how: str,
        user_id: str | None = None, state: str | None = None, verifier: str | None = None,
        redirect_to: str | None = None, linking: str | None = None,
    ) -> str:  # fmt: skip
        """Remember a flow; *how* is the method that its session will have been begun by."""
        now, flow_id = self._now(), str(uuid.uuid4())
        row = {
            "id": flow_id, "user_id": user_id, "auth_code": None, "code_challenge": challenge,
            "code_challenge_method": method, "provider_type": provider, "authentication_method": how,
            "created_at": now, "updated_at": now, "state": None if state is None else stored(state),
            "verifier": verifier, "redirect_to": redirect_to, "linking_user_id": linking,
        }  # fmt: skip
        old = now - timedelta(seconds=BEGUN_S + FLOW_S)
        await tx.run("delete from auth.flow_state where created_at < :old", old=old)
        await tx.insert("flow_state", row)
        return flow_id

    async def latest(self, tx: Tx, user_id: str, how: str) -> Row | None:
        """The flow that a mail's link belongs to."""
        rows = await tx.rows(
            "select * from auth.flow_state where user_id = :user_id and authentication_method = :how"
            " and auth_code is null order by created_at desc limit 1",
            user_id=user_id, how=how,
        )  # fmt: skip
        return rows[0] if rows else None

    async def by_state(self, tx: Tx, state: str) -> Row | None:
        """The flow of a provider's answer, which can come once."""
        row = await tx.one("select * from auth.flow_state where state = :hashed for update", hashed=stored(state))
        if row is None or await tx.update("flow_state", row["id"], {"state": None}) != 1:
            return None
        made = moment(row["created_at"])
        return row if made is not None and self._now() - made < timedelta(seconds=BEGUN_S) else None

    async def to_code(self, tx: Tx, flow_id: str, user_id: str) -> str:
        """The code with which a flow is exchanged for a session of *user_id*."""
        code, now = secrets.token_urlsafe(32), self._now()
        changes = {"auth_code": stored(code), "user_id": user_id, "auth_code_issued_at": now, "updated_at": now}
        await tx.update("flow_state", flow_id, changes)
        return code

    async def exchange(self, tx: Tx, code: str, verifier: str) -> Row | AuthError:
        """The flow of *code*, which is used up, also by a wrong verifier; an error is given back, not raised."""
        row = None
        if isinstance(code, str) and 0 < len(code) <= 256:
            row = await tx.one(
                "select * from auth.flow_state where auth_code = :hashed for update", hashed=stored(code)
            )
        if row is None or await tx.run("delete from auth.flow_state where id = :id", id=row["id"]) != 1:
            return AuthError("flow_state_not_found")
        issued = moment(row["auth_code_issued_at"])
        if issued is None or self._now() - issued >= timedelta(seconds=FLOW_S):
            return AuthError("flow_state_expired")
        if not is_answer(row["code_challenge"], row["code_challenge_method"], verifier):
            return AuthError("bad_code_verifier")
        return row


def parse_challenge(challenge: str | None, method: str | None) -> tuple[str, str] | None:
    """A client's challenge and its method in lower case; None if it gave none.

    Raises:
        AuthError: only one of them, or not as RFC 7636 has them.
    """
    if not challenge and not method:
        return None
    name = (method or "").lower()
    if not challenge or name not in ("s256", "plain"):
        raise invalid("PKCE flow requires code_challenge_method and code_challenge")
    if not _CHALLENGE.fullmatch(challenge):
        raise invalid("code challenge has to be between 43 and 128 characters of letters, digits and -._~")
    return challenge, name


def is_answer(challenge: str | None, method: str | None, verifier: str) -> bool:
    """Whether *verifier* is what *challenge* was made from."""
    if not challenge or not isinstance(verifier, str) or not _CHALLENGE.fullmatch(verifier):
        return False
    given = verifier if method == "plain" else s256(verifier)
    return hmac.compare_digest(given, challenge)


def s256(verifier: str) -> str:
    """The challenge of *verifier*."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
