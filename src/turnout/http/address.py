"""The client's address, and the scheme and host it asked for, behind trusted proxies only.

``trusted_proxies`` names the networks whose ``X-Forwarded-*`` fields are believed. With none,
the socket's peer is the client and every forwarding field is ignored. With some, the list is
walked from the right: trusted hops are skipped, the first other address is the client, and a
malformed entry stops the walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from ..errors import ConfigError
from .headers import Headers

# ipaddress is imported where it is used: a project without trusted proxies may never need it.
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


class Trust(Struct, frozen=True):
    """Which peers may speak for the client, and the origin that overrides them all.

    Args:
        networks: Networks of the proxies in front.
        unix: True to trust the peer of a Unix socket.
        origin: ``https://example.com``: scheme and host of every absolute URL, or None.
    """

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    unix: bool = False
    origin: str | None = None

    @classmethod
    def of(cls, proxies: list[str], origin: str | None = None) -> Trust:
        """Read ``trusted_proxies``: addresses, networks, or ``unix``.

        Raises:
            ConfigError: an entry is none of these.
        """
        from ipaddress import ip_network

        networks = []
        for proxy in proxies:
            if proxy == "unix":
                continue
            try:
                networks.append(ip_network(proxy))
            except ValueError:
                raise ConfigError(
                    f"trusted_proxies: {proxy!r} is not an address or a network",
                    cure='write "10.0.0.0/8", "127.0.0.1" or "unix"',
                ) from None
        return cls(tuple(networks), "unix" in proxies, origin.rstrip("/") if origin else None)

    def trusts(self, peer: str | None) -> bool:
        """Whether forwarding fields from *peer* (None: a Unix socket) are believed."""
        if peer is None:
            return self.unix
        address = parse_address(peer)
        return address is not None and any(address in network for network in self.networks)


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address from ``1.2.3.4``, ``1.2.3.4:80``, ``::1``, ``[::1]:80`` or ``fe80::1%eth0``; None if it is none."""
    from ipaddress import IPv6Address, ip_address

    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def client_address(peer: str | None, headers: Headers, trust: Trust) -> str | None:
    """The client's address as text, or None for a Unix socket that nobody speaks for."""
    address = parse_address(peer) if peer is not None else None
    client = str(address) if address is not None else peer
    if not trust.trusts(peer):
        return client
    hops = [hop for line in headers.get_all("x-forwarded-for") for hop in line.split(",")]
    for hop in reversed(hops):
        address = parse_address(hop)
        if address is None:
            return client
        client = str(address)
        if not trust.trusts(client):
            return client
    return client


def rate_key(address: str | None) -> str:
    """What a limit counts by: an IPv4 address, or the /64 of an IPv6 one, which a client has whole."""
    from ipaddress import IPv6Address, IPv6Network

    parsed = parse_address(address) if address else None
    if isinstance(parsed, IPv6Address):
        return str(IPv6Network((parsed, 64), strict=False))
    return str(parsed) if parsed is not None else "local"


def forwarded_origin(peer: str | None, headers: Headers, trust: Trust) -> tuple[str | None, str | None]:
    """Scheme and host that a trusted proxy passed on; None for what it did not, or gave twice."""
    if not trust.trusts(peer):
        return None, None
    scheme, host = headers.get("x-forwarded-proto"), headers.get("x-forwarded-host")
    if scheme not in ("http", "https"):
        scheme = None
    if host is not None and "," in host:
        host = None
    return scheme, host
