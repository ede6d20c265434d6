"""What it takes to sign up, and the mail that greets a new user."""

from typing import Annotated

from msgspec import Meta, Struct
from turnout import send_email, task
from turnout.auth.models import User

# A name goes into the subject of a mail, and a subject is one line: no control characters, no turned text.
OneLine = Annotated[
    str, Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*\Z")
]


class NewUser(Struct):
    """What somebody sends to sign up."""

    email: Annotated[str, Meta(min_length=3, max_length=254)]
    password: Annotated[str, Meta(min_length=8, max_length=72)]
    name: OneLine = ""


async def welcome(user: User) -> None:
    """Have *user* greeted; awaited in the transaction that makes the account."""
    await send_welcome.enqueue(user.id, user.email, str(user.user_metadata.get("name") or ""))


@task(retries=8, backoff_s=30)
async def send_welcome(user_id: str, email: str, name: str) -> None:
    """Send the mail. It is tried again while the mail server is away, and goes out once however often it is tried."""
    await send_email(
        to=email,
        subject=f"Welcome, {name}!" if name else "Welcome!",
        template="welcome",
        data={"name": name},
        idempotency_key=f"welcome/{user_id}",
    )
