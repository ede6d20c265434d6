"""How much one worker takes on: requests in flight and open streams, counted apart.

A request over the cap is refused at once with ``Retry-After``: under overload a quick no is
what keeps the others' answers quick.
"""

from __future__ import annotations

from .errors import ServiceUnavailable


class Admission:
    """Counts for one worker.

    Args:
        max_in_flight: Requests whose handlers run at the same time.
        max_streams: Responses that are still being streamed.
    """

    __slots__ = ("in_flight", "max_in_flight", "max_streams", "refused", "streams")

    def __init__(self, max_in_flight: int = 256, max_streams: int = 1_000) -> None:
        self.max_in_flight, self.max_streams = max_in_flight, max_streams
        self.in_flight = self.streams = self.refused = 0

    def refuse(self) -> ServiceUnavailable:
        """The error for one request too many."""
        self.refused += 1
        return ServiceUnavailable(
            "The server is busy; try again in a moment", headers=(("retry-after", "1"),), code="overloaded"
        )
