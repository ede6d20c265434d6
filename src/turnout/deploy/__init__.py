"""What ``turnout build`` makes: one project as the files that a place to run it wants.

``read.py`` reads the project without running it; ``builder.py`` writes what every target ships; a
target is one file that says what it cannot carry and adds what is its own. Nothing here is ever
part of what is built, logs in anywhere or uploads anything.
"""

from __future__ import annotations
