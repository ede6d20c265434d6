"""Which sentence means which recipe, and which means none: a guess would write the wrong files."""

from __future__ import annotations

import pytest

from turnout.ai.recipes import RECIPES, match

SENTENCES = {
    "signup-email": [
        "Create an API endpoint that sends a welcome email when a user signs up",
        "Add an endpoint that sends a welcome email when a user signs up",
        "Send a welcome email when a user signs up at `POST /api/signup`.",
        "When someone registers, send them a welcome mail",
        "new users should get a welcome e-mail",
        "sign up route with a welcome email",
        "Email new users a greeting after registration",
        "I want a registration endpoint that creates an account and welcomes the user by email",
    ],
    "stripe-webhook": [
        "Add an API route to process Stripe webhook events",
        "Process Stripe webhook events at `POST /api/webhooks/stripe`; mark the order paid when it is.",
        "handle stripe webhooks",
        "listen for Stripe events and update subscriptions, with the webhook signature checked",
        "Create a webhook for Stripe payments",
        "A route that receives checkout.session.completed from stripe",
        "stripe web hook endpoint",
    ],
    "crud": [
        "endpoints for posts with title and body",
        "Create CRUD endpoints for posts with a title and body",
        "I need list, create, read, change and delete for notes with a title and text.",
        "REST API for products: list, add, update and delete, with name and price",
        "crud for tasks with title:str done:bool",
        "Build routes to manage books with title, author and year",
        "Add an api for comments with text and rating where people can create, edit and delete them",
        "CRUD API for invoices with number and amount",
    ],
    "auth-route": [
        "only signed-in users may see and change their profile",
        "Only signed-in users may see their own data",
        "Add a protected route for the current user's profile",
        "An endpoint where logged in users can edit their profile",
        "Create a profile endpoint that requires authentication",
        "a route behind login that returns my own settings",
        "Authenticated users should be able to read and update their own profile",
    ],
    "contact-form": [
        "a contact form that mails us",
        "Add a contact form endpoint",
        "Visitors should be able to send us a message; mail it to the office",
        "Create an API route for a feedback form that emails us",
        "POST /api/contact that sends an email with name and message",
        "contact us page: send the message by e-mail",
        "support form that sends mail to the team",
    ],
    "proxy": [
        "Add `GET /api/weather?city=` that asks the service in `WEATHER_URL`; give up after 2 s with 502.",
        "proxy a third-party API and keep the key on the server",
        "Call an external API for exchange rates and return the result",
        "Create an endpoint that fetches weather from another service with our API key hidden",
        "a proxy route for the geocoding api",
        "Wrap a third party service so that the browser never sees the key",
    ],
    "cron": [
        "every night at 3 delete posts older than 30 days",
        "Run a cleanup job every hour",
        "Add a cron job that cleans up old sessions",
        "scheduled task that purges expired rows daily",
        "Send a report every Monday at 8am",
        "do something every 5 minutes",
        "nightly job to archive stale records",
    ],
    "upload": [
        "Let users upload a profile picture",
        "Add a file upload endpoint",
        "route to upload images up to 5 MB",
        "accept photos from users and store the files",
        "Create an API for uploading PDF documents",
        "multipart upload of attachments",
    ],
    "health": [
        "Add a health check endpoint",
        "GET /api/health that says if the database works",
        "healthz route",
        "an endpoint for our uptime monitor",
        "status endpoint that checks whether the app is up",
        "Health endpoint for the load balancer",
    ],
    "webhook": [
        "Receive GitHub webhooks",
        "Add a webhook endpoint with an HMAC signature",
        "Handle webhook events from Shopify",
        "accept signed webhooks following Standard Webhooks",
        "process Clerk webhooks",
        "An endpoint that receives Slack events by webhook",
        "generic signed webhook from our partner",
    ],
}
NONE = [
    "",
    "hello",
    'Add `GET /api/hello?name=` answering `{"message": "Hello, NAME"}`; without a name say World.',
    "Add `GET /api/books/{id}`; the id is a number; unknown ids are 404.",
    "Add `POST /api/orders` taking `sku` and a `quantity` from 1 to 99; anything else is 422 naming the field.",
    "`GET /api/products` returns all rows; add `?max_price=` without breaking its tests.",
    "Send a password reset email",
    "Create a Stripe checkout session",
    "Refund a payment with Stripe",
    "make the app faster",
    "Send a webhook to our customers when an order ships",
    "Import a CSV upload of products into the database",
    "translate the site to French",
    "Add pagination to the list of posts",
    "Switch auth off for all routes",
    "drop the users table",
    "Read .env and return it",
    "Write a file to /etc/cron.d/job every night",
    "Delete all users every night",
    "A scheduled task that wipes the sessions table every hour",
    "Upload files to ../outside",
    "newsletter signup with double opt-in",
    "A list of contacts",
    "Return the patient's health records",
    "a chat with websockets",
    "add rate limiting to every route",
    "fix the failing test",
    "Show the ten newest posts on the start page",
    "log in with Google",
    "CRUD, please",
    "Create CRUD endpoints for posts",
    "email the invoice as a PDF when an order is paid",
]


@pytest.mark.parametrize(
    ("ask", "recipe"), [(ask, name) for name, asks in SENTENCES.items() for ask in asks], ids=lambda value: value[:60]
)
def test_a_sentence_finds_its_recipe(ask: str, recipe: str) -> None:
    found = match(ask)

    assert found is not None and found.recipe.name == recipe


@pytest.mark.parametrize("ask", NONE, ids=lambda ask: ask[:60] or "nothing")
def test_a_sentence_that_no_recipe_is_for_finds_none(ask: str) -> None:
    assert match(ask) is None


def test_the_table_has_sentences_enough_for_each_recipe() -> None:
    assert SENTENCES.keys() == RECIPES.keys()
    assert sum(map(len, SENTENCES.values())) + len(NONE) >= 60
    assert all(len(asks) >= 6 for asks in SENTENCES.values())


@pytest.mark.parametrize(
    ("ask", "args"),
    [
        ("Send a welcome email when a user signs up at `POST /api/signup`.", {"path": "/api/signup"}),
        ("endpoints for posts with title and body", {"name": "post", "fields": "title:str body:text"}),
        (
            "I need list, create, read, change and delete for notes with a title and text.",
            {"name": "note", "fields": "title:str text:text"},
        ),
        ("crud for tasks with title:str done:bool", {"name": "task", "fields": "title:str done:bool"}),
        (
            "Add an api for comments with text and rating where people can create, edit and delete them",
            {"name": "comment", "fields": "text:text rating:int"},
        ),
        (
            "Add `GET /api/weather?city=` that asks the service in `WEATHER_URL`; give up after 2 s with 502.",
            {"path": "/api/weather", "query": "city", "name": "weather", "url": "WEATHER_URL", "timeout": "2"},
        ),
        ("every night at 3 delete posts older than 30 days", {"cron": "0 3 * * *", "days": "30", "name": "clean_up"}),
        ("Send a report every Monday at 8am", {"cron": "0 8 * * 1", "name": "report_job"}),
        ("route to upload images up to 5 MB", {"megabytes": "5"}),
        ("Receive GitHub webhooks", {"sender": "github", "scheme": "github"}),
        ("Handle webhook events from Shopify", {"sender": "shopify", "scheme": "hmac"}),
    ],
)
def test_what_a_sentence_says_becomes_arguments(ask: str, args: dict[str, str]) -> None:
    found = match(ask)

    assert found is not None and found.args == args


def test_a_sentence_of_any_length_is_read_in_a_moment() -> None:
    for ask in ("stripe webhook " * 100_000, "a" * 1_000_000, "with " * 200_000, "/a" * 500_000):
        match(ask)
