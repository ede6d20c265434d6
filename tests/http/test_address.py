from __future__ import annotations

import pytest

from turnout import ConfigError, Headers
from turnout.http.address import Trust, client_address, forwarded_origin, parse_address, rate_key

NOBODY = Trust()
PROXY = Trust.of(["10.0.0.0/8", "::1"])


def xff(*lines: str) -> Headers:
    return Headers([("x-forwarded-for", line) for line in lines])


@pytest.mark.parametrize(
    ("peer", "lines", "trust", "client"),
    [
        ("1.2.3.4", ["9.9.9.9"], NOBODY, "1.2.3.4"),
        ("1.2.3.4", ["9.9.9.9"], PROXY, "1.2.3.4"),  # a forged field from a stranger
        ("10.0.0.1", ["9.9.9.9"], PROXY, "9.9.9.9"),
        ("10.0.0.1", ["6.6.6.6, 9.9.9.9"], PROXY, "9.9.9.9"),  # what the client itself wrote is not believed
        ("10.0.0.1", ["6.6.6.6", "9.9.9.9, 10.1.1.1"], PROXY, "9.9.9.9"),
        ("10.0.0.1", ["9.9.9.9, nonsense"], PROXY, "10.0.0.1"),
        ("10.0.0.1", ["9.9.9.9, nonsense, 10.2.2.2"], PROXY, "10.2.2.2"),
        ("10.0.0.1", [], PROXY, "10.0.0.1"),
        ("10.0.0.1", [""], PROXY, "10.0.0.1"),
        ("::1", ["[2001:db8::1]:443"], PROXY, "2001:db8::1"),
        ("::ffff:10.0.0.1", ["9.9.9.9:1234"], PROXY, "9.9.9.9"),
        ("::ffff:1.2.3.4", ["9.9.9.9"], PROXY, "1.2.3.4"),
        (None, ["9.9.9.9"], PROXY, None),
        (None, ["9.9.9.9"], Trust.of(["unix"]), "9.9.9.9"),
    ],
)
def test_the_client_is_the_first_untrusted_hop_from_the_right(
    peer: str | None, lines: list[str], trust: Trust, client: str | None
) -> None:
    assert client_address(peer, xff(*lines), trust) == client


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:80", "1.2.3.4"),
        (" 1.2.3.4 ", "1.2.3.4"),
        ("[::1]:80", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("01.2.3.4", None),
        ("1.2.3", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_an_address_is_read_in_every_spelling(text: str, address: str | None) -> None:
    assert str(parse_address(text)) == str(address)


def test_an_ipv6_client_is_counted_by_its_64() -> None:
    assert rate_key("2001:db8:1:2:3:4:5:6") == rate_key("2001:db8:1:2::1") == "2001:db8:1:2::/64"
    assert rate_key("1.2.3.4") == "1.2.3.4"
    assert rate_key(None) == "local"


def test_a_proxy_that_is_no_network_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        Trust.of(["proxy.local"])


def test_scheme_and_host_come_from_trusted_proxies_only_and_once() -> None:
    fields = Headers({"x-forwarded-proto": "https", "x-forwarded-host": "example.com"})
    assert forwarded_origin("10.0.0.1", fields, PROXY) == ("https", "example.com")
    assert forwarded_origin("9.9.9.9", fields, PROXY) == (None, None)
    double = Headers({"x-forwarded-proto": "https, http", "x-forwarded-host": "a, b"})
    assert forwarded_origin("10.0.0.1", double, PROXY) == (None, None)
