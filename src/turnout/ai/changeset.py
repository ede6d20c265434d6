"""What a recipe or a model proposes: whole files, a claim of what they answer, names they need.

Recipe and model both produce a ``ChangeSet``, so there is one set of gates, one diff, one apply
and one undo. A claim is only that until the gates have tested it. Values here know nothing of the
disk; ``policy.py`` judges the paths and ``apply.py`` writes them.
"""

from __future__ import annotations

import hashlib

from msgspec import Struct, field


class FileChange(Struct, frozen=True):
    """One file as it shall be.

    Attributes:
        path: Relative to the project, with ``/``.
        base_sha256: The hash of the file that this was made from; None if there was none.
        text: All of its new text; None removes the file.
    """

    path: str
    base_sha256: str | None = None
    text: str | None = None


class RouteClaim(Struct, frozen=True):
    """What one method of one route shall answer.

    Attributes:
        path: The pattern, ``/api/notes/[id]``.
        auth: The value of its ``auth`` constant, None where it has none.
        statuses: The statuses that it may answer with.
    """

    method: str
    path: str
    auth: str | None = None
    statuses: list[int] = field(default_factory=list)


class ChangeSet(Struct, frozen=True):
    """One proposal.

    Attributes:
        summary: One or two sentences for whoever reads the diff.
        env: Names that it reads from the environment; Turnout adds them to ``.env.example``.
        needs: Packages that it imports and that are to be installed by hand.
    """

    summary: str
    contract: list[RouteClaim] = field(default_factory=list)
    files: list[FileChange] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)


class Finding(Struct, frozen=True):
    """One thing that is wrong with a proposal, in the form of every message of Turnout.

    Attributes:
        code: ``TRN1xx`` for policy and lint, ``TRN2xx`` for gates and probes.
        fix: What to do about it, in one line.
    """

    path: str
    line: int | None
    code: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.code} {self.message}" + (f" — fix: {self.fix}" if self.fix else "")


def sha256(text: str | bytes) -> str:
    """The hash by which a file is compared with its base."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
