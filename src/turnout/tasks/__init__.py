"""Background work that survives a crash: declared with ``@task``, enqueued in a transaction, run by the workers.

    # lib/tasks.py
    @task
    async def welcome(user_id: int): ...

    await welcome.enqueue(user.id)

``outbox.py`` writes it down in the project's database; ``engine.py`` hands it to DBOS, which keeps
and runs it. Work that may be lost in a crash is ``after()``.
"""

from __future__ import annotations

from .outbox import Enqueued, drain
from .task import Task, task

__all__ = ["Enqueued", "Task", "drain", "task"]
