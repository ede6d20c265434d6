"""The messages that auth sends: each has the code to type beside the link to follow.

Programs that look into mail follow links, and a link works once; whoever finds it used up types
the code. A project's own ``templates/mail/auth-signup.html`` (or ``auth-invite``, ``auth-recovery``,
``auth-magiclink``, ``auth-email-change``, ``auth-reauthentication``; ``.txt`` beside it) takes the
place of ours, with ``link``, ``code``, ``email``, ``new_email`` and ``site_url``. Links lead to the
configured site, whatever host a request named.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, NamedTuple

from .redirects import with_query

Sender = Callable[..., Awaitable[Any]]


class Words(NamedTuple):
    """What one kind of message says."""

    subject: str
    text: str
    button: str


WORDS = {
    "signup": Words("Confirm your sign-up", "Confirm this address to finish signing up.", "Confirm your address"),
    "invite": Words("You have been invited", "You have been invited to create an account.", "Accept the invitation"),
    "recovery": Words("Reset your password", "Somebody asked to reset your password.", "Reset password"),
    "magiclink": Words("Your sign-in link", "Follow the link, or type the code, to sign in.", "Sign in"),
    "email_change": Words("Confirm your new address", "Confirm the change of your address.", "Confirm the change"),
    "reauthentication": Words("Confirm that it is you", "Type this code to confirm that it is you.", ""),
}
_IGNORE = "If you did not ask for this, do nothing: without the code nothing happens."

_HTML = """<!doctype html>
<html lang="en">
<body style="font-family: system-ui, sans-serif; color: #1a1a1a; line-height: 1.5">
<h1 style="font-size: 1.25rem">%(subject)s</h1>
<p>%(text)s%(change)s</p>
%(button)s<p>%(label)s</p>
<p style="font-family: monospace; font-size: 1.75rem; letter-spacing: 0.25rem">%(code)s</p>
<p style="color: #595959">%(ignore)s</p>
</body>
</html>
"""
_BUTTON = '<p><a href="%s" style="color: #0b57d0">%s</a></p>\n'


class AuthMail:
    """Writes and sends the messages of one site.

    Args:
        api_url: Where ``/verify`` is.
        site_url: The site, for templates.
        sender: ``turnout.send_email``, or what plays its part.
    """

    def __init__(self, api_url: str, site_url: str, sender: Sender | None = None) -> None:
        self.api_url, self.site_url, self._sender = api_url, site_url, sender

    def link(self, kind: str, token: str, redirect_to: str) -> str:
        """The link that uses *token*."""
        return with_query(f"{self.api_url}/verify", token=token, type=kind, redirect_to=redirect_to)

    async def send(
        self, kind: str, to: str, code: str, link: str | None = None, *, email: str, new_email: str | None = None
    ) -> None:
        """Send the message *kind* to the address *to*; *email* and *new_email* are what it speaks of.

        Raises:
            MailError: it could not be handed over.
        """
        if self._sender is None:
            from ..mail import send_email

            self._sender = send_email
        words = WORDS[kind]
        name = f"auth-{kind.replace('_', '-')}"
        if _has_template(name):
            data = {"link": link, "code": code, "email": email, "new_email": new_email, "site_url": self.site_url}
            await self._sender(to=to, subject=words.subject, template=name, data=data)
        else:
            html, text = _html(words, code, link, new_email), _text(words, code, link, new_email)
            await self._sender(to=to, subject=words.subject, html=html, text=text)


def _has_template(name: str) -> bool:
    from ..errors import ConfigError
    from ..templates import templates

    try:
        found = templates()
    except ConfigError:  # outside of a project
        return False
    return any(found.has(f"mail/{name}.{ending}") for ending in ("html", "txt"))


def _html(words: Words, code: str, link: str | None, new_email: str | None) -> str:
    parts = {
        "subject": escape(words.subject), "text": escape(words.text), "code": escape(code), "ignore": escape(_IGNORE),
        "change": escape(f" The new address is {new_email}.") if new_email else "",
        "button": _BUTTON % (escape(link, quote=True), escape(words.button)) if link else "",
        "label": "Or type this code:" if link else "Your code:",
    }  # fmt: skip
    return _HTML % parts


def _text(words: Words, code: str, link: str | None, new_email: str | None) -> str:
    lines = [words.text + (f" The new address is {new_email}." if new_email else "")]
    if link:
        lines += [f"{words.button}: {link}", f"Or type this code: {code}"]
    else:
        lines += [f"Your code: {code}"]
    return "\n\n".join((*lines, _IGNORE)) + "\n"
