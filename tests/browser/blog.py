"""The served example, and somebody who looks at it: what the tests of this folder have in common."""

from __future__ import annotations

import email
import time
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

from browsers import PATIENCE_S
from msgspec import Struct

PASSWORD = "correct horse"
SCREENSHOTS = Path(__file__).parent / "screenshots"


class Blog(Struct):
    """A running server.

    Args:
        root: The copy of the example that it serves.
        url: Where.
        log: What it says.
    """

    root: Path
    url: str
    log: Path

    def mail_of(self, sender: str) -> EmailMessage:
        """The message in the outbox that is to be answered to *sender*; it is waited for."""
        give_up = time.monotonic() + PATIENCE_S
        while time.monotonic() < give_up:
            found = [each for each in self.mails() if each["reply-to"] == sender]
            if found:
                assert len(found) == 1
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"no mail of {sender}")

    def mails(self) -> list[EmailMessage]:
        """What was mailed so far."""
        files = sorted((self.root / "data" / "outbox").glob("*.eml"))
        return [email.message_from_bytes(file.read_bytes(), policy=default) for file in files]


class Visitor:
    """Somebody with a browser and, once signed up, an account.

    Attributes:
        page: What they look at.
        complaints: What the browser's console has said, but for answers that are errors on purpose.
    """

    def __init__(self, blog: Blog, context: Any, name: str) -> None:
        self.blog, self.context, self.name = blog, context, name
        self.email = f"{name}@example.com"
        self.complaints: list[str] = []
        self.page = self.another_page()

    def another_page(self) -> Any:
        """One more page of the same browser."""
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _hear(self, message: Any) -> None:
        if message.type in ("error", "warning") and "the server responded with a status of 4" not in message.text:
            self.complaints.append(f"{message.location.get('url')}: {message.text}")

    def go(self, path: str) -> Any:
        """Open *path*, and give the response."""
        return self.page.goto(path)

    def sign_up(self) -> None:
        """Make an account, by the page."""
        self.go("/auth/sign-up")
        self.page.get_by_label("E-mail address").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Create account").click()
        self.page.wait_for_url(f"{self.blog.url}/")

    def sign_in(self) -> None:
        """Fill in the page to sign in, which is open."""
        self.page.get_by_label("E-mail address").fill(self.email)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in", exact=True).click()

    def fill_post(self, title: str, content: str, name: str | None = None) -> None:
        """Fill in the form for a post, which is open."""
        self.page.get_by_label("Title").fill(title)
        self.page.get_by_label("Text").fill(content)
        if name is not None:
            self.page.get_by_label("Your name").fill(name)

    def publish(self, title: str, content: str = "Some words.") -> str:
        """Write a post, and give its path."""
        self.go("/posts/new")
        self.fill_post(title, content, self.name)
        self.page.get_by_role("button", name="Publish").click()
        self.page.get_by_role("heading", level=1, name=title, exact=True).wait_for()
        self.page.wait_for_load_state()
        return str(self.page.url).removeprefix(self.blog.url)

    def sees(self, text: str) -> bool:
        """Whether *text* is to be seen on the page."""
        return bool(self.page.get_by_text(text, exact=True).first.is_visible())
