"""A project with a page of forms, for the tests of actions."""

from __future__ import annotations

FILES = {
    "migrations/0001_posts.sql": (
        "create table posts (id integer primary key, title text not null unique, content text, photo text);\n"
    ),
    "app/posts/actions.py": '''
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from turnout import ActionError, FormData, UploadFile, action, current_request, db, flash, redirect, revalidate_path


@action
async def create_post(form_data: FormData):
    title = form_data.get("title")
    content = form_data.get("content")
    await db.from_("posts").insert({"title": title, "content": content})
    revalidate_path("/posts")


@action
async def write(
    title: Annotated[str, Meta(min_length=3)],
    kind: str = "note",
    pages: int | None = None,
    photo: UploadFile | None = None,
    password: str = "",
):
    """A form with everything."""
    if title == "taken":
        raise ActionError("There is one of that name.", field="title", code="title_taken", status=409)
    if title == "closed":
        raise ActionError("Nothing can be written today.")
    if title == "misnamed":
        raise ActionError("There is one of that name.", field="titel")
    if title == "broken":
        raise RuntimeError("the marker of an unexpected error")
    said = None if photo is None else f"{photo.filename} {photo.size}"
    await db.from_("posts").insert({"title": title, "content": kind, "photo": said})
    flash(current_request(), f"Saved {title}", "success")


@action
async def rename(post_id: int, title: Annotated[str, Meta(min_length=3)]):
    await db.from_("posts").update({"title": title}).eq("id", post_id)
    return redirect(f"/posts/{post_id}")
''',
    "app/posts/route.py": """
from turnout import db, render


async def GET():
    return render("posts.html", posts=await db.from_("posts").select("*").order("id"))
""",
    "app/posts/[id]/route.py": """
from turnout import NotFound, db, render


async def GET(id: int):
    post = await db.from_("posts").select("*").eq("id", id).maybe_single()
    if post is None:
        raise NotFound("No such post")
    return render("post.html", post=post)
""",
    "public/favicon.ico": "",
    "templates/base.html": """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{% block title %}Posts{% endblock %}</title>
{% if request.search_params.get("plain") is none %}
<script type="module" src="/_turnout/turnout.js"></script>
{% endif %}
</head>
<body><header id="top" data-refresh>{{ request.path }}</header><main>
{% for flash in flashes %}<p role="status" class="{{ flash.kind }}">{{ flash.message }}</p>{% endfor %}
{% block main %}{% endblock %}
</main></body></html>
""",
    "templates/posts.html": """{% extends "base.html" %}
{% block main %}
<h1>Posts</h1>
<ul>{% for post in posts %}<li>{{ post.title }}, {{ post.content }}, {{ post.photo }}</li>{% endfor %}</ul>
<form id="write" method="post" action="{{ actions.write.url }}" enctype="multipart/form-data">
  {% if errors.form %}<p role="alert" data-form-error>{{ errors.form }}</p>{% endif %}
  <label for="title">Title</label>
  <input id="title" name="title" value="{{ values.title }}"
    {%- if errors.title %} aria-invalid="true" aria-describedby="title-error"{% endif %}>
  {% if errors.title %}<p id="title-error">{{ errors.title }}</p>{% endif %}
  <label for="pages">Pages</label>
  <input id="pages" name="pages" value="{{ values.pages }}">
  {% if errors.pages %}<p id="pages-error">{{ errors.pages }}</p>{% endif %}
  <fieldset><legend>Kind</legend>
    <label><input type="radio" name="kind" value="note" checked> Note</label>
    <label><input type="radio" name="kind" value="tale"> Tale</label>
  </fieldset>
  <label for="password">Password</label>
  <input id="password" name="password" type="password" value="{{ values.password }}">
  <label for="photo">Photo</label>
  <input id="photo" name="photo" type="file">
  <button>Write</button>
</form>
<label for="draft">Draft</label><input id="draft" form="other">
<form id="other" method="post" action="{{ actions.create_post.url }}"></form>
{% endblock %}
""",
    "templates/post.html": """{% extends "base.html" %}
{% block title %}{{ post.title }}{% endblock %}
{% block main %}
{% set rename = actions.rename.bind(post_id=post.id) %}
<h1>{{ post.title }}</h1>
<form method="post" action="{{ rename.url }}">
  <label for="title">Title</label>
  <input id="title" name="title" value="{{ rename.values.get("title", post.title) }}">
  {% if rename.errors.title %}<p id="title-error">{{ rename.errors.title }}</p>{% endif %}
  <button>Rename</button>
</form>
<a href="/posts">All</a>
{% endblock %}
""",
}
