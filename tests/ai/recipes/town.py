"""A fresh project with every recipe in it, each planned in what the ones before have left."""

from __future__ import annotations

import argparse
from pathlib import Path

from turnout.ai.changeset import ChangeSet
from turnout.ai.recipes import RECIPES
from turnout.ai.view import ProjectView
from turnout.cli import new

# Every recipe as it is by default, and those with choices in each of them.
WORDS = [
    ["signup-email"],
    ["stripe-webhook"],
    ["crud", "note", "title:str", "body:text", "author:ref(users)"],
    ["crud", "event", "title:str", "details:text?", "open:bool", "seats:int", "day:date?", "at:datetime", "key:uuid?"],
    ["crud", "reply", "text:text", "post:ref(posts)?", "weight:float"],
    ["auth-route"],
    ["contact-form"],
    ["proxy", "weather", "city", "timeout=2"],
    ["cron"],
    ["cron", "name=purge_posts", "table=posts", "days=7", "cron=30 4 * * 1", "timezone=Europe/Berlin"],
    ["upload", "megabytes=1"],
    ["health"],
    ["webhook"],
    ["webhook", "github", "github"],
    ["webhook", "slack", "slack"],
    ["webhook", "acme", "hmac"],
]


def fresh(folder: Path) -> Path:
    """A project as ``turnout new`` makes it, in *folder*."""
    new.run(argparse.Namespace(name=str(folder), agents=False, json=False))
    return folder


def plan(root: Path, words: list[str]) -> ChangeSet:
    """What the recipe that *words* name would change in *root*."""
    recipe = RECIPES[words[0]]
    return recipe.plan(ProjectView(root), recipe.parse(words[1:]))


def write(root: Path, change: ChangeSet, *, only: str = "") -> None:
    """Write the files of *change*; only those whose path begins so."""
    for each in change.files:
        if each.path.startswith(only):
            (root / each.path).parent.mkdir(parents=True, exist_ok=True)
            (root / each.path).write_text(each.text or "")
