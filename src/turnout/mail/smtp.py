"""SMTP (RFC 5321) through aiosmtplib: ``SMTP_URL=smtp://user:password@mail.example.com:587``.

``smtp://`` begins in plain text and must be upgraded by STARTTLS before a name, a password or a message
goes over it; ``smtps://`` is TLS from the first byte. Certificates are verified. Only a server on this
machine, such as a mail catcher, is spoken to in plain text, or one for which the URL says ``?tls=off``.

One connection for each message: nothing is left open that could be dead when the next one comes. A message
goes to all of its recipients or to none: if one of them is refused, its text is not sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from ..errors import ConfigError, MailError
from .message import Message

if TYPE_CHECKING:
    import aiosmtplib

_LOCAL = ("localhost", "127.0.0.1", "::1")
_EXAMPLE = "smtp://user:password@mail.example.com:587, or smtps:// for a port such as 465"
_QUIT_S = 2


@dataclass(frozen=True, slots=True)
class Server:
    """Where to hand messages to, and how."""

    host: str
    port: int
    tls: Literal["off", "starttls", "on"]
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def parse_smtp_url(url: str) -> Server:
    """The server that an ``SMTP_URL`` names. User and password are percent-decoded.

    Raises:
        ConfigError: it is no such URL; the message does not repeat it, as it holds a password.
    """
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError:
        port = host = None
    if not host or parts.scheme not in ("smtp", "smtps") or parts.path not in ("", "/") or parts.fragment:
        raise ConfigError("SMTP_URL is not the address of a mail server", cure=_EXAMPLE)
    if (parts.username is None) != (parts.password is None):
        raise ConfigError("SMTP_URL has a user without a password, or the reverse", cure=_EXAMPLE)
    tls = _tls(parts.scheme, host, dict(parse_qsl(parts.query, keep_blank_values=True)))
    return Server(
        host=host,
        port=port or (465 if tls == "on" else 587),
        tls=tls,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def _tls(scheme: str, host: str, query: Mapping[str, str]) -> Literal["off", "starttls", "on"]:
    asked = query.get("tls")
    if query.keys() - {"tls"} or asked not in (None, "off", "starttls") or (scheme == "smtps" and asked):
        raise ConfigError("SMTP_URL ends with something else than ?tls=off or ?tls=starttls", cure=_EXAMPLE)
    if scheme == "smtps":
        return "on"
    if asked is None:
        return "off" if host in _LOCAL else "starttls"
    return "off" if asked == "off" else "starttls"


class SMTP:
    """Hands messages to one mail server.

    Args:
        url: The value of ``SMTP_URL``.
        timeout_s: For one message, from the connection to the server's last word, in seconds.
    """

    name = "smtp"

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.server, self.timeout_s = parse_smtp_url(url), timeout_s
        self._context = None if self.server.tls == "off" else ssl.create_default_context()

    async def send(self, message: Message) -> None:
        """Hand over *message*, or raise MailError."""
        try:
            import aiosmtplib
        except ImportError as exc:
            raise ConfigError("mail by SMTP needs aiosmtplib", cure='pip install "turnout[mail]"') from exc

        server = self.server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "on",
            start_tls=False,  # told apart below, so that a server without it is an error and not plain text
            tls_context=self._context,
            timeout=self.timeout_s,
            local_hostname=_own_name(),
        )
        attempt = _Attempt(client, server, message)
        try:
            async with asyncio.timeout(self.timeout_s):
                await attempt.run()
        except MailError:
            await self._leave(client)
            raise
        except (aiosmtplib.SMTPException, OSError) as exc:  # TimeoutError is an OSError
            client.close()
            raise attempt.error(exc) from exc
        except BaseException:
            client.close()
            raise
        # Accepted: whatever happens to the good-bye, the message is on its way.
        await self._leave(client)

    async def _leave(self, client: aiosmtplib.SMTP) -> None:
        import aiosmtplib

        try:
            async with asyncio.timeout(_QUIT_S):
                await client.quit()
        except (aiosmtplib.SMTPException, OSError):
            pass
        finally:
            client.close()


class _Attempt:
    """One message over one connection, and how far it came."""

    def __init__(self, client: aiosmtplib.SMTP, server: Server, message: Message) -> None:
        self.client, self.server, self.message = client, server, message
        self.step, self.begun = "connecting", False

    async def run(self) -> None:
        client, server, message = self.client, self.server, self.message
        data = message.to_bytes()
        await client.connect()
        if server.tls == "starttls":
            self.step = "starting TLS"
            await client.ehlo()
            if not client.supports_extension("starttls"):
                raise MailError(
                    f"{self.place} offers no STARTTLS, so the message was not sent; "
                    "use smtps://, or ?tls=off in SMTP_URL where the network may read it"
                )
            await client.starttls()
        if server.user is not None and server.password is not None:
            self.step = "signing in"
            await client.login(server.user, server.password)
        self.step = f"naming the sender {message.sender.email}"
        await client.mail(message.sender.email)
        await self.recipients()
        self.step, self.begun = "sending the message", True
        await client.data(data)

    async def recipients(self) -> None:
        import aiosmtplib

        self.step = "naming the recipients"
        refused: dict[str, tuple[int, str]] = {}
        for each in self.message.to:
            try:
                await self.client.rcpt(each.email)
            except aiosmtplib.SMTPRecipientRefused as exc:
                refused[each.email] = exc.code, exc.message
        if refused:
            words = {email: f"{code} {_short(said)}" for email, (code, said) in refused.items()}
            codes = [code for code, _ in refused.values()]
            raise MailError(
                f"{self.place} refused {'; '.join(f'{email} ({said})' for email, said in words.items())}"
                + (", so nobody was sent the message" if len(self.message.to) > len(refused) else ""),
                retryable=all(_is_passing(code) for code in codes),
                code=max(codes),
                refused=words,
            )

    @property
    def place(self) -> str:
        return f"the mail server {self.server.host}:{self.server.port}"

    def error(self, exc: Exception) -> MailError:
        """What *exc* means for whoever wanted to send."""
        import aiosmtplib

        if isinstance(exc, aiosmtplib.SMTPResponseException):
            said = f"{exc.code} {_short(exc.message)}"
            return MailError(
                f"{self.place} refused while {self.step}: {said}", retryable=_is_passing(exc.code), code=exc.code
            )
        if (wrong := _certificate(exc)) is not None:
            return MailError(f"the certificate of {self.place} is not trusted: {wrong}")
        if not isinstance(exc, OSError):  # not a connection that ended, but something that the server lacks
            return MailError(f"{self.place} cannot do what is needed while {self.step}: {_short(str(exc))}")
        what = "did not answer in time" if isinstance(exc, TimeoutError) else f"went away ({type(exc).__name__})"
        if isinstance(exc, aiosmtplib.SMTPConnectError) and not isinstance(exc, TimeoutError):
            what = "cannot be reached"
        doubt = "; it may have taken the message all the same" if self.begun else ""
        return MailError(f"{self.place} {what} while {self.step}{doubt}", retryable=True)


def _is_passing(code: int) -> bool:
    return 400 <= code < 500


def _short(said: str) -> str:
    return " ".join(said.split())[:200]


def _certificate(exc: BaseException | None) -> str | None:
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return exc.verify_message or str(exc)
        exc = exc.__cause__ or exc.__context__
    return None


def _own_name() -> str:
    import socket

    # Not getfqdn(), which asks the network for a name and waits for it.
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"
