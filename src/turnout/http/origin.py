"""Whether a request comes from a page of this site: what protects cookies against forged requests.

By ``Sec-Fetch-Site`` (https://www.w3.org/TR/fetch-metadata/) where the browser sends it, else by ``Origin``
(RFC 6454). Both are written by the browser, and no page can change them. What a request without either means
is for the caller to say: no browser sent it, or one from before 2020.
"""

from __future__ import annotations

from collections.abc import Collection

from .request import Request

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def same_origin(request: Request, allowed: Collection[str] = (), *, typed: bool = True) -> bool | None:
    """True for a request of this site's own pages, or of one listed; False for another's; None if nothing says.

    Args:
        request: Whose fields are read.
        allowed: Other origins that may send it, such as ``https://app.example.com``.
        typed: Whether the user's own doing, such as an address that was typed, counts as this site's.
    """
    sites, origins = request.headers.get_all("sec-fetch-site"), request.headers.get_all("origin")
    if len(sites) > 1 or len(origins) > 1:
        return False
    origin = origins[0] if origins else None
    # "none" is the user's own doing: the address bar, a bookmark, a page loaded again.
    if sites and (sites[0] == "same-origin" or (typed and sites[0] == "none")):
        return True
    if origin is not None and origin != "null":
        # Compared as it was sent: browsers write an origin in one way only.
        return origin in allowed or (sites in ([], ["none"]) and origin == request.url.origin)
    return None if not sites and origin is None else False
