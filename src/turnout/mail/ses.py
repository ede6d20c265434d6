"""Amazon SES by its HTTP API, version 2 (``SendEmail`` with a raw message), signed here.

Region and keys come from the environment under AWS's own names: ``AWS_REGION`` (or ``AWS_DEFAULT_REGION``),
``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY`` and, for temporary keys, ``AWS_SESSION_TOKEN``. The signature
is Signature Version 4 for this one kind of request, checked against AWS's published examples: botocore would
bring over ten megabytes, and makes its calls in a way that stops the event loop. What is not here: keys from
profiles, from a machine's metadata or from single sign-on.

Source: https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html and
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from ..errors import ConfigError, MailError
from .message import Message
from .web import post

_THROTTLED = frozenset(("TooManyRequestsException", "ThrottlingException", "LimitExceededException"))


@dataclass(frozen=True, slots=True)
class Keys:
    """What requests are signed with."""

    id: str
    secret: str = field(repr=False)
    session: str | None = field(default=None, repr=False)


class SES:
    """Hands messages to SES.

    Args:
        keys: Whose requests they are.
        region: ``eu-central-1``.
        timeout_s: For one message, in seconds.
        url: Where its API is; that of *region* if None.
    """

    name = "ses"

    def __init__(self, keys: Keys, region: str, *, timeout_s: float, url: str | None = None) -> None:
        self.keys, self.region, self.timeout_s = keys, region, timeout_s
        self.url = (url or f"https://email.{region}.amazonaws.com") + "/v2/email/outbound-emails"

    @classmethod
    def of(cls, values: Mapping[str, str], *, timeout_s: float) -> SES:
        """The SES that the environment names.

        Raises:
            ConfigError: a name is missing.
        """
        region = values.get("AWS_REGION") or values.get("AWS_DEFAULT_REGION") or ""
        found = {name: values.get(name, "") for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        missing = [name for name, value in {"AWS_REGION": region, **found}.items() if not value]
        if missing:
            raise ConfigError(f"mail by SES needs {', '.join(missing)}", cure="set them where the server is started")
        if not re.fullmatch(r"[a-z0-9-]+", region):
            raise ConfigError("AWS_REGION is no name of a region", cure="such as AWS_REGION=eu-central-1")
        keys = Keys(found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"], values.get("AWS_SESSION_TOKEN") or None)
        return cls(keys, region, timeout_s=timeout_s)

    async def send(self, message: Message) -> None:
        """Hand over *message*, or raise MailError."""
        from ..http import jsontext

        body = jsontext.dumps(
            {
                # A name beside the address goes into the message's head, and only there.
                "FromEmailAddress": message.sender.email,
                "Destination": {"ToAddresses": [each.email for each in message.to]},
                "Content": {"Raw": {"Data": base64.b64encode(message.to_bytes()).decode()}},
            }
        )
        headers = signed("POST", self.url, {"content-type": "application/json"}, body, self.keys, self.region, "ses")
        answer = await post(self.url, body, headers, self.timeout_s, "SES")
        if answer.status == 200:
            return
        name = answer.headers.get("x-amzn-errortype", "").partition(":")[0]
        raise MailError(
            f"SES refused the message: {answer.status} {name}: {answer.word('message') or answer.word('Message')}",
            retryable=answer.is_passing or name in _THROTTLED,
            code=answer.status,
            retry_after_s=answer.retry_after_s,
        )


def signed(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    keys: Keys,
    region: str,
    service: str,
    *,
    now: datetime | None = None,
) -> dict[str, str]:
    """*headers* and those that sign the request, by Signature Version 4.

    Args:
        url: Its path is plain ASCII without anything to encode; its query is empty or sorted and encoded.
        headers: Lower-case names; all of them are signed.
        now: The time of the request; the clock's if None.
    """
    parts = urlsplit(url)
    time = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    signing = {**headers, "host": parts.netloc, "x-amz-date": time}
    if keys.session is not None:
        signing["x-amz-security-token"] = keys.session
    names = ";".join(sorted(signing))
    fields = "".join(f"{name}:{' '.join(signing[name].split())}\n" for name in sorted(signing))
    request = "\n".join((method, parts.path or "/", parts.query, fields, names, hashlib.sha256(body).hexdigest()))
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for step in scope.split("/"):
        key = hmac.digest(key, step.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signing["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return signing
