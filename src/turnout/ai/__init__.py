"""``turnout create``: a sentence becomes a route, its test and its migration, proved and shown first.

A bounded pipeline, not an agent: context, one answer of a recipe or a model, gates in a jail, at
most three repairs, a diff, and apply on yes. ``create`` is its door in Python; what it passes
around is a ``ChangeSet``. Nothing that serves requests imports this package.
"""

from __future__ import annotations
