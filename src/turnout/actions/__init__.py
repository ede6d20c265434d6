"""Functions that forms and scripts of this site's own pages call: ``@action`` in ``app/**/actions.py``.

    # app/posts/actions.py
    @action
    async def create_post(form_data: FormData):
        await db.from_("posts").insert({"title": form_data.get("title")})
        revalidate_path("/posts")

A page calls it by ``<form method="post" action="{{ create_post.url }}">`` and needs no script; a script by
``fetch`` gets JSON. ``docs/reference/actions.md`` says what comes back.
"""

from __future__ import annotations

from .action import Action, BoundAction, action
from .flash import Flash, flash, get_flashes

__all__ = ["Action", "BoundAction", "Flash", "action", "flash", "get_flashes"]
