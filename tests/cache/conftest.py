"""The stores of tests/store, for kept answers."""

from __future__ import annotations

from store.conftest import processes, shared_url, url, valkey_server, valkey_url

__all__ = ["processes", "shared_url", "url", "valkey_server", "valkey_url"]
