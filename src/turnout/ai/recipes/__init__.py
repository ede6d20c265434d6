"""Recipes: fixed generators for what is asked for most, that work with no key and no network.

``RECIPES`` has them by name; ``match`` finds the one that a sentence means, or none. Each is a file of this folder
with ``plan(project, args) -> ChangeSet``. They are reference answers too: what is asked of a model is what these do.
"""

from __future__ import annotations

from .base import Argument, Recipe
from .match import RECIPES, Match, match, scores

__all__ = ["RECIPES", "Argument", "Match", "Recipe", "match", "scores"]
