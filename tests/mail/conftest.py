"""Fixtures of the mail tests."""

from mail.servers import authority, tls

__all__ = ["authority", "tls"]
