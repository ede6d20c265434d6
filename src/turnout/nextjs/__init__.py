"""``route.ts`` to ``route.py``: what can be said in Python is translated, the rest is kept, marked and listed.

Nothing that was not understood is left out quietly: in its place stand the original lines as a comment
and a ``raise NotImplementedError``, since a check that silently disappears would be a hole.
"""

from __future__ import annotations

from .module import Translated, translate
from .walk import Imported, import_project

__all__ = ["Imported", "Translated", "import_project", "translate"]
