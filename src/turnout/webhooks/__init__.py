"""Webhooks: who sent it, and one effect for each event however often it arrives.

``stripe``, ``standard``, ``github`` and ``slack`` each have ``verify`` (is it signed?),
``construct_event`` (the same, and the event in it), ``sign`` (for tests) and ``webhook`` (a whole
route). ``once`` gives the exactly-once part to a route of one's own::

    # app/api/webhook/stripe/route.py
    from turnout.webhooks import stripe

    hook = stripe.webhook(secrets="STRIPE_WEBHOOK_SECRET")

    @hook.on("checkout.session.completed")
    async def paid(event, tx):
        await tx.from_("orders").insert({"session_id": event.data["object"]["id"]})

    POST = hook

How signatures are compared is in ``verify.py``, what is remembered in ``inbox.py``. Nothing is
sent from here but by the command ``turnout webhooks``.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import github, slack, standard, stripe
    from .hook import Webhook
    from .inbox import once
    from .verify import Event, SignatureError

_LAZY = {"Event": ".verify", "SignatureError": ".verify", "Webhook": ".hook", "once": ".inbox"}
_MODULES = ("github", "slack", "standard", "stripe")

webhooks = sys.modules[__name__]  # what the package ``turnout`` asks for under this name

__all__ = ["Event", "SignatureError", "Webhook", "github", "once", "slack", "standard", "stripe"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'turnout.webhooks' has no attribute {name!r}")
    value = getattr(import_module(module, __name__), name)
    globals()[name] = value
    return value
