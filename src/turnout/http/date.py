"""A moment as HTTP writes it: ``Sun, 06 Nov 1994 08:49:37 GMT`` (RFC 9110 section 5.6.7).

Not ``strftime``, whose ``%a`` and ``%b`` follow the locale; and not ``email.utils``, which loads a dozen modules.
"""

from __future__ import annotations

import time

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def to_http_date(moment: time.struct_time) -> str:
    """*moment*, which is in UTC: that of ``time.gmtime()`` or ``datetime.utctimetuple()``."""
    year, month, day, hour, minute, second, weekday, *_ = moment
    return f"{_DAYS[weekday]}, {day:02} {_MONTHS[month - 1]} {year:04} {hour:02}:{minute:02}:{second:02} GMT"
