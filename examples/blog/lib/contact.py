"""What happens to a message for the owner of the blog."""

from typing import Annotated

from msgspec import Meta
from turnout import db, env, send_email

Message = Annotated[str, Meta(max_length=20_000)]  # a line end is two characters on its way


async def receive(name: str, email: str, message: str, *, once: bool = False) -> None:
    """Keep the message and mail it to the owner, who answers its sender by Reply.

    Args:
        once: Leave out what is the same as the last message: a form that was sent twice.
    """
    sent = {"name": name, "email": email, "message": message}
    async with db.transaction() as tx:
        last = tx.from_("messages").select("name, email, message").order("id", desc=True).limit(1)
        if once and await last == [sent]:
            return
        await tx.from_("messages").insert(sent)
    await send_email(
        to=env.get("CONTACT_EMAIL", "owner@example.com"),
        subject=f"Message from {name}",
        text=message,
        reply_to=email,
    )
