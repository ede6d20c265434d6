"""GET /about: what this example shows, and where to read it."""

from turnout import Response, render

revalidate = 86_400

PARTS = [
    ("Pages from templates", "app/posts/[id]/route.py", "templates/base.html"),
    ("Forms that need no script", "app/actions.py", "templates/fields.html"),
    ("Pictures, told by what is in them", "lib/pictures.py", "app/posts/[id]/picture/route.py"),
    ("Kept answers, ended by an action", "app/posts/route.py", "lib/posts.py"),
    ("Whose a post is, beside the tables", "lib/policies.py", "migrations/0005_bylines.sql"),
    ("Live entries by server-sent events", "app/guestbook/events/route.py", "public/guestbook.js"),
    ("Sign-in from Turnout, in this blog's look", "pyproject.toml", "templates/auth/layout.html"),
    ("Mail, which stays here in development", "lib/contact.py", "app/api/users/route.py"),
    ("Errors as pages, for people only", "app/error.py", "app/api/posts/[id]/error.py"),
]
ROUTES = [
    ("GET", "/api/hello", "says hello"),
    ("GET", "/api/posts?page=1&limit=10", "lists posts"),
    ("POST", "/api/posts", "adds one: title, content"),
    ("GET", "/api/posts/1", "one post; PUT changes it, DELETE removes it"),
    ("POST", "/api/contact", "sends a message: name, email, message"),
    ("GET", "/api/headers", "shows two of your header fields"),
    ("GET", "/api/external", "asks another service"),
    ("POST", "/api/webhook/stripe", "takes Stripe's events"),
    ("POST", "/api/users", "creates an account: email, name, password"),
    ("GET", "/api/me", "says who you are, by your token"),
]


async def GET() -> Response:
    return render("about.html", parts=PARTS, routes=ROUTES)
