"""What the blog mails, and what it takes for an address. How mail is sent stands in pyproject.toml."""

import re
from typing import Annotated

from msgspec import Meta
from turnout import send_email

# At most 64 characters before the @, and names of a domain after it; \Z, as $ would let a line break follow.
_WORD = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_EMAIL = rf"^(?!.*=\?)(?=.{{1,64}}@){_WORD}(?:\.{_WORD})*@(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}\Z"
Email = Annotated[str, Meta(max_length=254, pattern=_EMAIL)]
# A name goes into a subject, and a subject is one line.
_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202d\u202e]*\Z"
OneLine = Annotated[str, Meta(max_length=200, pattern=_ONE_LINE)]
Name = Annotated[str, Meta(max_length=80, pattern=_ONE_LINE)]


def is_email(text: str) -> bool:
    """Whether *text* looks like an address; only a mail sent there can tell if it is one."""
    return len(text) <= 254 and re.match(_EMAIL, text) is not None


async def send_welcome_email(email: str) -> None:
    """Greet a new user."""
    await send_email(to=email, subject="Welcome to the blog", template="welcome", data={"email": email})
