"""The two sites that the tests of auth drive: one confirms addresses by itself, one asks people to."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from served import Served, served

# So many that no test meets a limit by accident; the limits have tests of their own.
_MANY = """
password_min_length = 6
bcrypt_cost = 4
anonymous = true
redirect_urls = ["http://localhost:3000/**"]
google_client_id = "google-client"
mail_interval_s = 1
mails_per_hour = 100000
sign_ins_per_five_min = 100000
verifications_per_five_min = 100000
codes_per_five_min = 100000
refreshes_per_five_min = 100000
passwords_per_five_min = 100000
anonymous_per_hour = 100000
"""


def site(root: Path, *, confirms: bool, database: str | None) -> AbstractContextManager[Served]:
    """A site for clients; with *confirms* nobody has to open a mail before signing in, and identities may be linked."""
    yes = str(confirms).lower()
    return served(
        root,
        auth=f"auto_confirm = {yes}\nmanual_linking = {yes}\n{_MANY}",
        database=database,
        environment={"AUTH_GOOGLE_SECRET": "google-secret"},
    )
