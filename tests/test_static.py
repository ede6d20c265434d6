"""The files of public/: served as they are, only those, and for as long as they stay what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import client_of, make_project

from turnout import ConfigError
from turnout.static import asset
from turnout.testing import Client

FILES = {
    "public/style.css": "body { color: green }",
    "public/img/logo.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    "public/a b.txt": "spaced",
    "public/.well-known/security.txt": "Contact: mailto:a@example.com",
    "public/.env": "SECRET=1",
    "public/.git/config": "[core]",
    "public/tool.py": "print(1)",
    "app/api/hello/route.py": "async def GET(request): return 'hello'",
    "app/[...rest]/route.py": "async def GET(request, rest): return {'rest': rest}",
    "app/asset/route.py": """
        from turnout.static import asset
        async def GET(request): return asset("style.css")
    """,
}


def served(root: Path) -> Client:
    return client_of(root, FILES)


async def test_a_file_has_its_type_a_validator_and_is_asked_for_each_time(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        answer = await client.get("/style.css")
        assert (answer.status, answer.text) == (200, "body { color: green }")
        assert answer.headers.get("content-type") == "text/css; charset=utf-8"
        assert answer.headers.get("cache-control") == "public, max-age=0, must-revalidate"
        assert answer.headers.get("x-content-type-options") == "nosniff"

        known = {"if-none-match": answer.headers.get("etag") or ""}
        assert (await client.get("/style.css", headers=known)).status == 304
        part = await client.get("/style.css", headers={"range": "bytes=0-3"})
        assert (part.status, part.text) == (206, "body")
        assert (await client.head("/style.css")).headers.get("content-length") == "21"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/img/logo.svg", 200),
        ("/a%20b.txt", 200),
        ("/.well-known/security.txt", 200),
        ("/.env", "rest"),
        ("/.git/config", "rest"),
        ("/tool.py", "rest"),
        ("/img", "rest"),
        ("/../pyproject.toml", 400),
        ("/img/%2e%2e/%2e%2e/pyproject.toml", 400),
    ],
)
async def test_only_open_files_of_the_folder_are_served(tmp_path: Path, path: str, status: Any) -> None:
    async with served(tmp_path) as client:
        answer = await client.get(path)
        if status == "rest":  # a route that takes everything else answers
            assert "rest" in answer.json()
        else:
            assert answer.status == status


async def test_a_file_wins_over_a_route_with_parameters_and_answers_get_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        assert (await client.get("/style.css")).text.startswith("body")
        assert (await client.post("/style.css")).status == 405
        assert "rest" in (await client.get("/other.css")).json()


async def test_the_address_of_an_asset_may_be_kept_and_changes_with_the_file(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        first = (await client.get("/asset")).json()
        answer = await client.get(first)
        assert answer.text == "body { color: green }"
        assert answer.headers.get("cache-control") == "public, max-age=31536000, immutable"

        (tmp_path / "public/style.css").write_text("body { color: blue }")
        second = (await client.get("/asset")).json()
        assert second != first
        old = await client.get(first)
        assert old.text == "body { color: blue }"
        assert old.headers.get("cache-control") == "public, max-age=0, must-revalidate"
        assert (await client.get(first.replace("style", "nothing"))).status == 404


async def test_a_wrong_asset_says_what_is_missing(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        await client.get("/asset")
        with pytest.raises(ConfigError, match=r"there is no file 'styel\.css'"):
            asset("styel.css")


async def test_templates_know_the_assets(tmp_path: Path) -> None:
    page = "{{ asset('style.css') }}"
    route = "from turnout import render\nasync def GET(request): return render('page.html')"
    async with client_of(tmp_path, {**FILES, "templates/page.html": page, "app/page/route.py": route}) as client:
        assert (await client.get((await client.get("/page")).text)).ok


async def test_a_link_that_leads_out_is_not_served(tmp_path: Path) -> None:
    make_project(tmp_path, FILES)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public/link.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "public/inside.css").symlink_to(tmp_path / "public/style.css")
    (tmp_path / "public/etc").symlink_to("/etc")
    async with client_of(tmp_path, {}) as client:
        assert "rest" in (await client.get("/link.txt")).json()
        assert "rest" in (await client.get("/etc/passwd")).json()
        assert (await client.get("/inside.css")).ok


@given(
    st.lists(
        st.sampled_from(
            ["..", ".", "%2e%2e", "%2E.", "..%2f", "..%5c", "\\..", "img", "style.css", "%00", "//", "..;", "~"]
        ),
        min_size=1,
        max_size=7,
    )
)
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_mutation_of_a_path_leads_out_of_the_folder(tmp_path: Path, parts: list[str]) -> None:
    import asyncio

    if not (tmp_path / "public").is_dir():
        make_project(tmp_path, FILES)
        (tmp_path / "secret.txt").write_text("secret")

    async def ask() -> None:
        async with Client(root=tmp_path) as client:
            for path in (
                "/" + "/".join(parts),
                "/_assets/0/" + "/".join(parts),
                "/" + "/".join([*parts, "secret.txt"]),
            ):
                answer = await client.get(path)
                assert answer.status < 500 and answer.text != "secret"

    asyncio.run(ask())
