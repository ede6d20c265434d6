"""Resend and SES: the requests they get over a real connection, and what their answers mean."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from mail.servers import script, web
from ports import free_port

from turnout.errors import ConfigError, MailError
from turnout.mail import Address, Attachment, Message
from turnout.mail.resend import Resend
from turnout.mail.ses import SES, Keys, signed

KEY = "re_123456789_abcdefghij"
KEYS = Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
OK = (200, '{"id":"49a3999c"}', {})


def message(**fields: Any) -> Message:
    given = {"subject": "Hällo", "text": "Hi\n", "html": "<p>Hi</p>"} | fields
    return Message(Address("app@example.com", "Åsa, App"), (Address("ada@example.com"),), **given)


def resend(url: str, timeout_s: float = 10) -> Resend:
    return Resend(KEY, timeout_s=timeout_s, url=url)


def ses(url: str, timeout_s: float = 10, keys: Keys = KEYS) -> SES:
    return SES(keys, "eu-central-1", timeout_s=timeout_s, url=url)


async def test_resend_gets_one_json_object() -> None:
    sent = message(
        reply_to=Address("bob@example.com"), attachments=(Attachment("a.txt", b"\0\xff"),), idempotency_key="welcome/7"
    )
    with web(OK) as service:
        await resend(service.url).send(sent)

    ((path, headers, body),) = service.requests
    assert path == "/emails"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["idempotency-key"] == "welcome/7"
    assert json.loads(body) == {
        "from": '"Åsa, App" <app@example.com>',
        "to": ["ada@example.com"],
        "subject": "Hällo",
        "text": "Hi\n",
        "html": "<p>Hi</p>",
        "reply_to": "bob@example.com",
        "attachments": [{"filename": "a.txt", "content": "AP8=", "content_type": "text/plain"}],
    }


async def test_what_a_message_has_not_is_not_sent_to_resend() -> None:
    with web(OK) as service:
        await resend(service.url).send(message(html=None))

    ((_, headers, body),) = service.requests
    assert set(json.loads(body)) == {"from", "to", "subject", "text"}
    assert "idempotency-key" not in headers


@pytest.mark.parametrize(
    ("status", "name", "retryable"),
    [
        (400, "invalid_idempotency_key", False),
        (401, "missing_api_key", False),
        (403, "validation_error", False),
        (409, "invalid_idempotent_request", False),
        (409, "concurrent_idempotent_requests", True),
        (422, "invalid_from_address", False),
        (429, "rate_limit_exceeded", True),
        (500, "application_error", True),
        (503, "", True),
        (307, "", False),
    ],
)
async def test_resend_says_whether_later_may_do(status: int, name: str, retryable: bool) -> None:
    text = json.dumps({"statusCode": status, "name": name, "message": "Because\r\nof this"})
    answer = (status, text, {"retry-after": "7", "location": "https://evil.example"})
    with web(answer) as service, pytest.raises(MailError) as caught:
        await resend(service.url).send(message())

    error = caught.value
    assert (error.code, error.retryable, error.retry_after_s) == (status, retryable, 7)
    assert "Because of this" in str(error) and KEY not in str(error) and len(service.requests) == 1


@pytest.mark.parametrize("text", ["", "<html>", "[1]", '{"message": 7}', "[" * 90_000, "x" * 300_000])
async def test_an_answer_that_is_no_json_is_still_an_answer(text: str) -> None:
    with web((502, text, {})) as service:
        for transport in (resend(service.url), ses(service.url)):
            with pytest.raises(MailError, match="502") as caught:
                await transport.send(message())
            assert caught.value.retryable and len(str(caught.value)) < 300


@pytest.mark.parametrize("make", [resend, ses])
async def test_a_service_that_is_away_or_silent_is_an_error_for_later(make: Any) -> None:
    port = free_port()
    with pytest.raises(MailError, match="cannot be reached") as caught:
        await make(f"http://127.0.0.1:{port}").send(message())
    assert caught.value.retryable

    async with script() as port:
        with pytest.raises(MailError, match="may have taken the message") as caught:
            await make(f"http://127.0.0.1:{port}", timeout_s=1.5).send(message())
    assert caught.value.retryable


# -- SES


async def test_ses_gets_the_raw_message_and_who_it_is_for() -> None:
    with web((200, '{"MessageId":"1"}', {})) as service:
        await ses(service.url).send(message(attachments=(Attachment("a.txt", b"x"),)))

    ((path, headers, body),) = service.requests
    data = json.loads(body)
    assert path == "/v2/email/outbound-emails" and headers["content-type"] == "application/json"
    assert data["FromEmailAddress"] == "app@example.com"
    assert data["Destination"] == {"ToAddresses": ["ada@example.com"]}
    got: Any = email.message_from_bytes(base64.b64decode(data["Content"]["Raw"]["Data"]), policy=email.policy.default)
    assert (got["from"].addresses[0].display_name, got["subject"]) == ("Åsa, App", "Hällo")
    assert [each.get_filename() for each in got.iter_attachments()] == ["a.txt"]


@pytest.mark.parametrize("session", [None, "the-session"])
async def test_a_request_to_ses_is_signed_as_it_arrives(session: str | None) -> None:
    """The server's side of Signature Version 4, from what came over the wire."""
    with web((200, "{}", {})) as service:
        await ses(service.url, keys=Keys(KEYS.id, KEYS.secret, session)).send(message())

    ((path, headers, body),) = service.requests
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\d{8})/eu-central-1/ses/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        headers["authorization"],
    )
    assert found
    day, names, signature = found.groups()
    assert headers.get("x-amz-security-token") == session
    assert {"content-type", "host", "x-amz-date"} <= set(names.split(";"))
    digest = hashlib.sha256(body).hexdigest()
    canonical = "\n".join(
        ("POST", path, "", *(f"{name}:{headers[name]}" for name in names.split(";")), "", names, digest)
    )
    scope = f"{day}/eu-central-1/ses/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = b"AWS4" + KEYS.secret.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), "sha256").digest()
    assert hmac.new(key, text.encode(), "sha256").hexdigest() == signature


# AWS's Signature Version 4 test suite, and the example of its documentation.
VECTORS = [
    ("GET", "https://example.amazonaws.com/", "service", {},
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ("POST", "https://example.amazonaws.com/", "service", {},
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    (
        "GET", "https://example.amazonaws.com/?Param1=value1&Param2=value2", "service", {},
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET", "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08", "iam",
        {"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("method", "url", "service", "headers", "signature"), VECTORS)
def test_signatures_are_those_that_aws_publishes(
    method: str, url: str, service: str, headers: dict[str, str], signature: str
) -> None:
    now = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)

    fields = signed(method, url, headers, b"", KEYS, "us-east-1", service, now=now)

    assert fields["authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("status", "name", "retryable"),
    [
        (400, "MessageRejected", False),
        (400, "LimitExceededException", True),
        (403, "SignatureDoesNotMatch", False),
        (429, "TooManyRequestsException", True),
        (500, "", True),
    ],
)
async def test_ses_says_whether_later_may_do(status: int, name: str, retryable: bool) -> None:
    answer = (status, '{"message":"Because of this"}', {"x-amzn-errortype": f"{name}:http://internal.amazon.com/"})
    with web(answer) as service, pytest.raises(MailError) as caught:
        await ses(service.url).send(message())

    assert (caught.value.code, caught.value.retryable) == (status, retryable)
    assert f"{status} {name}: Because of this" in str(caught.value)


def test_ses_reads_its_keys_from_the_environment() -> None:
    values = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "the-secret"}
    found = SES.of(values, timeout_s=1)

    assert found.url == "https://email.eu-central-1.amazonaws.com/v2/email/outbound-emails"
    assert "the-secret" not in repr(found.keys)
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY"):
        SES.of(values | {"AWS_SECRET_ACCESS_KEY": ""}, timeout_s=1)
    with pytest.raises(ConfigError, match="no name of a region"):
        SES.of(values | {"AWS_REGION": "evil.example/"}, timeout_s=1)
