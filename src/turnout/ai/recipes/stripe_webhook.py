"""``stripe-webhook``: what Stripe tells the project, checked, remembered, and done once for each event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..changeset import ChangeSet, RouteClaim
from .base import Argument, Recipe, fill, new_files, new_route, new_table, next_migration, path_in, slug

if TYPE_CHECKING:
    from ..view import ProjectView

ROUTE = '''\
"""POST @PATH@: what Stripe tells us, each event checked and done once.

A signature that is missing, wrong or over five minutes old is 400. An event that was handled before is 200 and
nothing more, as is one of a type that no function here takes. A function that raises makes it 500, nothing it
wrote is kept, and Stripe sends the event again.

Turn on the events below at https://dashboard.stripe.com/webhooks, and put the signing secret into
STRIPE_WEBHOOK_SECRET. To change it without a gap, name two: "STRIPE_WEBHOOK_SECRET, STRIPE_WEBHOOK_SECRET_OLD".
"""

from turnout.db import Transaction
from turnout.webhooks import Event, stripe

from lib.stripe_events import keep_checkout, keep_subscription

auth = "public"  # the signature is what lets a request in

hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET")


@hook.on(
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
async def checkout(event: Event, tx: Transaction) -> None:
    """A customer has been through the checkout, or a slow payment has come or failed."""
    await keep_checkout(tx, event)


@hook.on(
    "customer.subscription.created",
    "customer.subscription.updated",
    "customer.subscription.deleted",
)
async def subscription(event: Event, tx: Transaction) -> None:
    """A subscription began, changed or ended."""
    await keep_subscription(tx, event)


POST = hook
'''

LIB = '''\
"""What Stripe's events do here: payments and subscriptions as rows of our own.

Events come more than once and in any order, so each row says how new it is and an older event changes nothing. What is
written through *tx* and the note that the event is done are one transaction: both are kept, or neither.
"""

import msgspec
from turnout.db import Transaction
from turnout.webhooks import Event


class CheckoutSession(msgspec.Struct):
    """The parts of a Checkout Session that we keep; https://docs.stripe.com/api/checkout/sessions/object."""

    id: str
    payment_status: str
    amount_total: int | None = None  # in the currency's smallest unit: 1999 is 19.99 EUR
    currency: str | None = None
    client_reference_id: str | None = None  # what you gave when you made the session: an order, or a user


class Subscription(msgspec.Struct):
    """The parts of a Subscription that we keep; https://docs.stripe.com/api/subscriptions/object."""

    id: str
    customer: str
    status: str


async def keep_checkout(tx: Transaction, event: Event) -> None:
    """Keep what a checkout has come to. What is paid stays paid, whatever arrives later."""
    session = msgspec.convert(event.data["object"], CheckoutSession)
    await tx.sql(
        """
        insert into stripe_payments (id, status, amount_total, currency, reference, event_created)
        values (:id, :status, :amount_total, :currency, :reference, :created)
        on conflict (id) do update set status = excluded.status, event_created = excluded.event_created
        where stripe_payments.status <> 'paid' and excluded.event_created >= stripe_payments.event_created
        """,
        id=session.id,
        status=_checkout_status(event.type, session.payment_status),
        amount_total=session.amount_total,
        currency=session.currency,
        reference=session.client_reference_id,
        created=event["created"],
    )


async def keep_subscription(tx: Transaction, event: Event) -> None:
    """Keep the state of a subscription, unless a newer event has brought a later one."""
    found = msgspec.convert(event.data["object"], Subscription)
    await tx.sql(
        """
        insert into stripe_subscriptions (id, customer, status, event_created)
        values (:id, :customer, :status, :created)
        on conflict (id) do update set status = excluded.status, event_created = excluded.event_created
        where excluded.event_created >= stripe_subscriptions.event_created
        """,
        id=found.id,
        customer=found.customer,
        status=found.status,
        created=event["created"],
    )


def _checkout_status(event_type: str, payment_status: str) -> str:
    """``paid``, ``pending`` (a bank transfer is on its way), ``failed`` or ``expired``."""
    if event_type == "checkout.session.expired":
        return "expired"
    if event_type == "checkout.session.async_payment_failed":
        return "failed"
    return "pending" if payment_status == "unpaid" else "paid"
'''

MIGRATION = """\
-- What Stripe's events have told us; written by lib/stripe_events.py. event_created is in Unix seconds.
create table stripe_payments (
    id text primary key not null,
    status text not null check (status in ('paid', 'pending', 'failed', 'expired')),
    amount_total bigint,
    currency text,
    reference text,
    event_created bigint not null
);

create table stripe_subscriptions (
    id text primary key not null,
    customer text not null,
    status text not null,
    event_created bigint not null
);

create index stripe_payments_reference on stripe_payments (reference);
create index stripe_subscriptions_customer on stripe_subscriptions (customer);
"""

TEST = '''\
"""POST @PATH@: signed events have one effect each; everything else has none."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from turnout.db import db, migrate
from turnout.testing import Answer, Client
from turnout.webhooks import stripe

ROOT = Path(__file__).parent.parent
SECRET = "whsec_only_for_tests"


@pytest.fixture(autouse=True)
def own_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", str(tmp_path / "test.db"))
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRET", SECRET)


def with_client(test: Callable[[Client], Awaitable[None]]) -> Callable[[], None]:
    """Run *test* on the app, with an empty database."""

    async def main() -> None:
        async with Client(root=ROOT) as client:
            await migrate.migrate(db, ROOT / "migrations")
            await test(client)

    return lambda: asyncio.run(main())


def checkout(id: str = "evt_1", type: str = "checkout.session.completed", created: int = 10, **session: Any) -> bytes:
    about = {"id": "cs_1", "payment_status": "paid", "amount_total": 1999, "currency": "eur", **session}
    return json.dumps({"id": id, "type": type, "created": created, "data": {"object": about}}).encode()


async def send(client: Client, body: bytes, *, secret: str = SECRET, age_s: int = 0) -> Answer:
    headers = {"stripe-signature": stripe.sign(body, secret, at_s=int(time.time()) - age_s)}
    return await client.post("@PATH@", body=body, headers=headers)


async def payments() -> list[dict[str, Any]]:
    return await db.from_("stripe_payments").select("id, status, amount_total, reference")


@with_client
async def test_a_paid_checkout_is_kept(client: Client) -> None:
    answer = await send(client, checkout(client_reference_id="order 7"))

    assert (answer.status, answer.json()) == (200, {"received": True})
    assert await payments() == [{"id": "cs_1", "status": "paid", "amount_total": 1999, "reference": "order 7"}]


@with_client
async def test_an_event_that_comes_three_times_has_one_effect(client: Client) -> None:
    assert [(await send(client, checkout())).status for _ in range(3)] == [200, 200, 200]
    assert len(await payments()) == 1


@with_client
async def test_a_forged_a_stale_and_a_missing_signature_are_refused(client: Client) -> None:
    body = checkout()

    assert (await send(client, body, secret="whsec_of_somebody_else")).status == 400
    assert (await send(client, body, age_s=600)).status == 400
    assert (await client.post("@PATH@", body=body)).status == 400
    assert await payments() == []


@with_client
async def test_a_signature_does_not_fit_another_body(client: Client) -> None:
    headers = {"stripe-signature": stripe.sign(checkout(), SECRET, at_s=int(time.time()))}

    answer = await client.post("@PATH@", body=checkout(amount_total=1), headers=headers)

    assert answer.status == 400


@with_client
async def test_a_type_that_nobody_takes_is_received_and_does_nothing(client: Client) -> None:
    assert (await send(client, checkout(type="payout.paid"))).status == 200
    assert await payments() == []


@with_client
async def test_a_slow_payment_is_pending_until_it_comes_and_then_stays_paid(client: Client) -> None:
    await send(client, checkout("evt_1", payment_status="unpaid", created=10))
    assert (await payments())[0]["status"] == "pending"

    await send(client, checkout("evt_2", "checkout.session.async_payment_succeeded", 20))
    await send(client, checkout("evt_3", "checkout.session.async_payment_failed", 30))

    assert (await payments())[0]["status"] == "paid"


@with_client
async def test_an_older_event_does_not_undo_a_newer_one(client: Client) -> None:
    for id, created, status in (("evt_1", 10, "trialing"), ("evt_3", 30, "canceled"), ("evt_2", 20, "active")):
        about = {"id": "sub_1", "customer": "cus_1", "status": status}
        event = {"id": id, "type": "customer.subscription.updated", "created": created, "data": {"object": about}}
        assert (await send(client, json.dumps(event).encode())).status == 200

    assert await db.from_("stripe_subscriptions").select("status") == [{"status": "canceled"}]


@with_client
async def test_an_event_that_cannot_be_handled_is_500_and_is_done_when_it_comes_right(client: Client) -> None:
    assert (await send(client, checkout(payment_status=None))).status == 500
    assert await payments() == []

    assert (await send(client, checkout())).status == 200
    assert len(await payments()) == 1
'''


def plan(project: ProjectView, args: Mapping[str, str]) -> ChangeSet:
    """A route for Stripe's events, what they do, and tables for that."""
    path = RECIPE.complete(args)["path"]
    route = new_route(project, path)
    for table in ("stripe_payments", "stripe_subscriptions"):
        new_table(project, table)
    files = {
        route: fill(ROUTE, path=path),
        "lib/stripe_events.py": LIB,
        f"{next_migration(project, 'stripe_events')}.sql": MIGRATION,
        f"tests/test_{slug(path)}.py": fill(TEST, path=path),
    }
    return ChangeSet(
        summary=f"POST {path} takes Stripe's events: signatures are checked, and each event has one effect, on the "
        "tables stripe_payments and stripe_subscriptions.",
        contract=[RouteClaim("POST", path, "public", [200, 400, 413, 500])],
        files=new_files(project, files),
        env=["STRIPE_WEBHOOK_SECRET"],
    )


RECIPE = Recipe(
    name="stripe-webhook",
    summary="take Stripe's webhook events: signature, one effect each, payments and subscriptions",
    plan=plan,
    arguments=(Argument("path", "where the route is", "/api/webhooks/stripe"),),
    signs=(
        (r"\bstripe\b", 3),
        (r"\bweb ?-?hooks?\b", 3),
        (r"\bevents?\b", 1),
        (r"checkout\.session|invoice\.|payment_intent|customer\.subscription", 4),
        (r"\b(?:process|handle|receive|listen|react|consume)\b", 0.5),
        (r"\b(?:github|slack|svix|clerk|resend|shopify|twilio|paypal|paddle|lemon ?squeezy)\b", -4),
        (r"\b(?:refunds?|create a (?:checkout|payment)|charge (?:a|the) (?:card|customer)|customer portal)\b", -3),
    ),
    read=path_in,
)
