from __future__ import annotations

import pytest

from turnout import ConfigError, HTTPError, Request
from turnout.http.guard import AllowedHosts, check_incoming, is_host


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("example.com", True),
        ("EXAMPLE.com", True),
        ("example.com:8000", True),
        ("example.com.", True),
        ("api.example.org", True),
        ("example.org", True),
        ("a.b.example.org:1", True),
        ("[::1]", True),
        ("[::1]:8000", True),
        ("127.0.0.1:80", True),
        ("evilexample.org", False),
        ("example.com.evil.net", False),
        ("example.com@evil.net", False),
        ("user@example.com", False),
        ("examplexcom", False),
        ("example.com:port", False),
        ("example.com:", False),
        ("example.com/", False),
        ("example.com,evil.net", False),
        ("example.com evil.net", False),
        ("[::2]", False),
        ("::1", False),
        ("", False),
        (".", False),
        ("xn--e1afmkfd.example", False),
        ("пример.рф", False),
        (".*", False),
    ],
)
def test_a_host_is_compared_literally_or_by_suffix(host: str, allowed: bool) -> None:
    hosts = AllowedHosts(["example.com", ".example.org", "[::1]", "127.0.0.1"])
    assert hosts.allows(host) is allowed
    assert hosts.allows(host) is allowed  # also from its memory


def test_a_star_allows_every_well_formed_host() -> None:
    assert AllowedHosts(["*"]).allows("any.example:1")
    assert not AllowedHosts(["*"]).allows("a b")


def test_the_memory_of_hosts_is_bounded() -> None:
    hosts = AllowedHosts(["*"])
    for number in range(5_000):
        hosts.allows(f"h{number}")
    assert len(hosts._known) <= 1_000


@pytest.mark.parametrize(
    "name", ["https://example.com", "example.com:80", "example.com/x", "", "*.example.com", "[::1]:80"]
)
def test_an_entry_that_is_no_host_stops_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="allowed_hosts"):
        AllowedHosts([name])


@pytest.mark.parametrize("host", ["a", "a.b", "a_b", "1.2.3.4", "[::1]:1", "a:65535"])
def test_a_well_formed_host(host: str) -> None:
    assert is_host(host)


def test_a_name_is_no_longer_than_dns_allows() -> None:
    # RFC 3986 section 3.2.2. Hosts are remembered by the thousand, so their length is memory.
    assert is_host("a" * 255) and is_host("a" * 255 + ":65535")
    assert not is_host("a" * 256) and not is_host("[" + ":" * 300 + "]:1") and not is_host("a" * 30_000)


@pytest.mark.parametrize("host", ["a b", "a@b", "a/b", "a:123456", "[::1", "-", "a\n", "a\t"])
def test_a_malformed_host(host: str) -> None:
    assert not is_host(host) or host == "-"


@pytest.mark.parametrize(
    ("method", "target", "headers", "status"),
    [
        ("GET", "/a b", {}, 400),
        ("GET", "/a#b", {}, 400),
        ("GET", "/a\\b", {}, 400),
        ("GET", "/é", {}, 400),
        ("GET", "/\x00", {}, 400),
        ("BREW", "/", {}, 501),
        ("get", "/", {}, 501),
        ("POST", "/", {"transfer-encoding": "gzip, chunked"}, 501),
        ("POST", "/", {"transfer-encoding": "identity"}, 501),
    ],
)
def test_what_a_host_server_may_let_through_is_refused(
    method: str, target: str, headers: dict[str, str], status: int
) -> None:
    with pytest.raises(HTTPError) as caught:
        check_incoming(Request(method, target, headers=headers))
    assert caught.value.status == status
