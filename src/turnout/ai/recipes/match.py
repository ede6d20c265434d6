"""Which recipe a sentence means: patterns add to a score, and one must stand clearly above the next.

A guess would write the wrong files, so what is not clear is left to the model, or to the user.
"""

from __future__ import annotations

import re

from msgspec import Struct

from . import auth_route, contact_form, cron, crud, health, proxy, signup_email, stripe_webhook, upload, webhook
from .base import Recipe

# In the order in which they are listed.
_MODULES = (signup_email, stripe_webhook, crud, auth_route, contact_form, proxy, cron, upload, health, webhook)
RECIPES: dict[str, Recipe] = {each.RECIPE.name: each.RECIPE for each in _MODULES}

LEAST, MARGIN = 4.0, 1.5
# What no recipe does: files elsewhere, secrets, and taking away what is there.
_BEYOND = re.compile(
    r"(?:^|\s)(?:/(?:etc|usr|var|root|home|tmp)/|~/|\.\./)|\.env\b|\b(?:drop|truncate|wipe|erase)s?\b"
    r"|\bdelete (?:all|every|everything)\b"
)
LONGEST = 2_000


class Match(Struct, frozen=True):
    """The recipe that a sentence means.

    Attributes:
        args: What the sentence says about the recipe's arguments.
    """

    recipe: Recipe
    score: float
    args: dict[str, str]


def match(ask: str) -> Match | None:
    """The recipe that *ask* means, if one stands clearly above the next and the sentence says what it must know."""
    if _BEYOND.search(ask[:LONGEST].lower()):
        return None
    (best, score), (_, second) = scores(ask)[:2]
    if score < LEAST or score - second < MARGIN:
        return None
    recipe = RECIPES[best]
    args = recipe.read(ask[:LONGEST])
    # CRUD of what, and with which fields: that is for the user to say.
    if any(each.default is None and each.name not in args for each in recipe.arguments):
        return None
    return Match(recipe, score, args)


def scores(ask: str) -> list[tuple[str, float]]:
    """Each recipe with its score for *ask*, the highest first."""
    # What a sentence quotes by name, a path, counts as words too: /api/webhooks/stripe speaks of both.
    text = ask[:LONGEST].lower().replace("’", "'")
    found = [
        (name, sum(weight for pattern, weight in recipe.signs if re.search(pattern, text)))
        for name, recipe in RECIPES.items()
    ]
    return sorted(found, key=lambda each: (-each[1], each[0]))
