"""Evals: prompts in a user's words, hidden tests of what has to happen and of what must not, and proof that they grade.

``python -m turnout.ai.evals check`` proves the graders: every reference passes, every mutant of it fails a hidden
test, and so does the project as it was. ``run`` asks a model, ``report`` counts. The data is in ``evals/`` of the
repository and not in the wheel. Only behaviour is judged: no pattern over source text, no model as a judge.
"""

from __future__ import annotations
