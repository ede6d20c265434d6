"""Dates of HTTP."""

from __future__ import annotations

import time
from email.utils import formatdate

from turnout.http.date import to_http_date


def test_a_date_is_written_as_in_the_standard() -> None:
    assert to_http_date(time.gmtime(784_111_777)) == "Sun, 06 Nov 1994 08:49:37 GMT"


def test_every_day_and_month_is_written_as_the_standard_library_does() -> None:
    for day in range(0, 800):
        moment = day * 86_461 + 1_700_000_000
        assert to_http_date(time.gmtime(moment)) == formatdate(moment, usegmt=True)
