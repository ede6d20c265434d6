"""Jobs on threads that own a database connection, awaited from any event loop.

Unlike an executor's future, a job can be stopped while it runs (the statement is interrupted,
its transaction rolled back) up to the moment its COMMIT begins; from then on a cancelled caller
waits for the end first. And while a transaction is open on a thread's connection, that thread
runs only the jobs of the transaction's owner and keeps the others in order.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import error

Work = Callable[[Any, "Job"], Any]
QUEUED, RUNNING, COMMITTING, DONE = range(4)


class Stopped(Exception):
    """The caller is gone; unwinds the job's work."""


class Job:
    """One call on a thread's connection.

    Args:
        owner: The transaction that the work belongs to.
        sure: It runs to its end even if the caller is cancelled, as a ROLLBACK must.
    """

    __slots__ = (
        "_connection", "_lock", "_loop", "_phase", "_sure", "_waiter", "failure", "owner", "result", "stop", "work",
    )  # fmt: skip

    def __init__(self, work: Work, owner: object | None, sure: bool) -> None:
        self.work, self.owner, self._sure = work, owner, sure
        self.result: Any = None
        self.failure: BaseException | None = None
        self.stop = False
        self._phase = QUEUED
        self._connection: Any = None
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._waiter = self._loop.create_future()

    # --- on the thread ---

    def begin(self, connection: Any) -> bool:
        """Take the job from the queue; False if its caller has left."""
        with self._lock:
            if self._phase != QUEUED:
                return False
            self._phase, self._connection = RUNNING, connection
            return True

    def commit(self) -> None:
        """Say that COMMIT is next: from here the job is not stopped any more."""
        with self._lock:
            if self.stop:
                raise Stopped
            self._phase = COMMITTING

    def finish(self, result: Any, failure: BaseException | None) -> None:
        """Hand the outcome back to the caller's loop."""
        with self._lock:
            self._phase, self.result, self.failure = DONE, result, failure
            waiter = self._waiter
        try:
            self._loop.call_soon_threadsafe(_wake, waiter)
        except RuntimeError:  # the loop is closed: nobody waits
            pass

    # --- on the loop ---

    def expire(self) -> None:
        """End the wait for a turn with an error."""
        with self._lock:
            if self._phase != QUEUED:
                return
            self._phase = DONE
            self.failure = error(
                "55P03",
                "waited too long for the database's writer: a transaction holds it",
                hint="look for a transaction that waits on something slow; the call may simply be tried again",
            )
        _wake(self._waiter)

    def _leave(self) -> bool:
        """Stop the work if it may still be stopped; True if it must be waited for."""
        with self._lock:
            if self._phase == DONE:
                return False
            if not self._sure:
                if self._phase == QUEUED:
                    self._phase = DONE
                    return False
                self.stop = True
                if self._phase == RUNNING:
                    # The lock keeps the phase, so it is this job's statement that is cut off.
                    self._connection.interrupt()
            self._waiter = self._loop.create_future()
            return True

    async def wait(self) -> Any:
        """The outcome. A cancelled caller leaves only when the work has stopped or is committed."""
        try:
            await self._waiter
        except asyncio.CancelledError:
            if self._leave():
                while not self._waiter.done():
                    try:
                        await asyncio.shield(self._waiter)
                    except asyncio.CancelledError:
                        continue
            raise
        if self.failure is not None:
            raise self.failure
        return self.result


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class Crew:
    """Up to *size* daemon threads, begun when needed, each with a connection of its own.

    Args:
        connect: Makes a connection, on the thread that will use it.
        pending: Whether a connection has a transaction open.
    """

    def __init__(self, name: str, size: int, connect: Callable[[], Any], pending: Callable[[Any], bool]) -> None:
        self._name, self._size, self._connect, self._pending = name, size, connect, pending
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False
        self._lock = threading.Lock()

    async def run(
        self, work: Work, *, owner: object | None = None, wait_s: float | None = None, sure: bool = False
    ) -> Any:
        """Do *work(connection, job)* on a thread, in turn.

        Args:
            owner: The transaction that the work belongs to.
            wait_s: Longest wait for a turn, in seconds.
            sure: It runs to its end even if the caller is cancelled.
        """
        job = Job(work, owner, sure)
        self._submit(job)
        timer = None if wait_s is None else asyncio.get_running_loop().call_later(wait_s, job.expire)
        try:
            return await job.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _submit(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                job.finish(None, _closing())
                return
            if self._jobs.qsize() >= self._idle and len(self._threads) < self._size:
                thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._threads.append(thread)
                thread.start()
            self._jobs.put(job)

    def _serve(self) -> None:
        try:
            connection = self._connect()
        except BaseException as exc:
            self._refuse(exc)
            return
        held: deque[Job] = deque()
        owner: object | None = None
        try:
            while True:
                if held and owner is None:
                    job: Job | None = held.popleft()
                else:
                    job = self._next()
                if job is None:
                    return
                if owner is not None and job.owner is not owner:
                    held.append(job)
                    continue
                if job.begin(connection):
                    _work(job, connection)
                    owner = job.owner if self._pending(connection) else None
                del job  # not kept alive, with all it refers to, until the next one comes
        finally:
            connection.close()
            for job in held:
                job.finish(None, _closing())

    def _next(self) -> Job | None:
        with self._lock:
            self._idle += 1
        job = self._jobs.get()
        with self._lock:
            self._idle -= 1
        return job

    def _refuse(self, exc: BaseException) -> None:
        """Answer one job with the reason why there is no connection; the next job tries again."""
        with self._lock:
            if threading.current_thread() in self._threads:
                self._threads.remove(threading.current_thread())
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:  # another thread has taken it
            return
        if job is not None:
            job.finish(None, exc)

    def close(self) -> None:
        """Let the threads finish what is queued, and end them."""
        with self._lock:
            threads, self._threads, self._closed = self._threads, [], True
            for _ in threads:
                self._jobs.put(None)
        for thread in threads:
            thread.join()


def _closing() -> Exception:
    return error("57P01", "the database was closed", status=503)


def _work(job: Job, connection: Any) -> None:
    try:
        result = job.work(connection, job)
    except BaseException as exc:
        job.finish(None, exc)
    else:
        job.finish(result, None)
