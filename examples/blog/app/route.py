"""GET /: a page for people. Everything that came from somebody is escaped on its way into the HTML."""

from html import escape
from string import Template
from typing import Any

from turnout import Request, Response, db

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

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Blog &middot; Turnout</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/style.css">
</head>
<body>
  <h1>Blog</h1>
  <p class="quiet">An example app of Turnout: each folder under <code>app/</code> is a URL.</p>
  <h2>Posts</h2>
  $posts
  <h2>Routes</h2>
  <table>$routes</table>
</body>
</html>
""")

NO_POSTS = """\
<div class="empty">No posts yet. Add the first and reload:
<pre>curl -H 'content-type: application/json' \\
  -d '{"title":"First","content":"Hello!"}' $origin/api/posts</pre></div>"""


async def GET(request: Request) -> Response:
    posts = await db.from_("posts").select("*").order("id", desc=True).limit(20)
    return Response.html(
        PAGE.substitute(
            posts="\n  ".join(map(article, posts)) or Template(NO_POSTS).substitute(origin=escape(request.url.origin)),
            routes="".join(map(table_row, ROUTES)),
        )
    )


def article(post: dict[str, Any]) -> str:
    return (
        f"<article><h3>{escape(post['title'])}</h3><time>{escape(post['created_at'][:10])}</time>"
        f"<p>{escape(post['content'])}</p></article>"
    )


def table_row(route: tuple[str, str, str]) -> str:
    method, path, does = map(escape, route)
    path = f'<a href="{path}">{path}</a>' if method == "GET" else path
    return f"<tr><td>{method}</td><td><code>{path}</code></td><td>{does}</td></tr>"
