"""Every page of the example as it looks: read by axe, in light and dark, narrow, on paper; pictures are kept.

The pictures are in ``tests/browser/screenshots``, which git ignores.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from browser.blog import SCREENSHOTS, Visitor

Visit = Callable[..., Visitor]

AXE = Path(__file__).parents[1] / "js" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations.map(
  (each) => `${each.id}: ${each.help} ${each.nodes.map((node) => node.html.slice(0, 200)).join(" | ")}`)"""

OPEN = {
    "home": "/",
    "posts": "/posts",
    "posts-page-2": "/posts?page=2",
    "posts-none": "/posts?page=999",
    "post": "/posts/1",
    "write-signed-out": "/posts/new",
    "guestbook": "/guestbook",
    "contact": "/contact",
    "about": "/about",
    "not-found": "/nothing/here",
    "sign-in": "/auth/sign-in",
    "sign-up": "/auth/sign-up",
    "reset": "/auth/reset",
    "sent": "/auth/sent",
    "signed-out": "/auth/signed-out",
}


@pytest.fixture(scope="session")
def axe() -> str:
    if not AXE.exists():
        pytest.skip("axe-core is not installed (npm ci in tests/js): nothing looks for what keeps people out")
    return AXE.read_text()


def look(page: Any, name: str, axe: str) -> None:
    """Take a picture, and let axe complain."""
    page.wait_for_load_state("load")
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")
    assert page.locator("h1").count() == 1 and page.locator("main").count() == 1
    assert page.evaluate("document.documentElement.lang") == "en"
    # Not by a script tag, which the pages' policy refuses.
    page.evaluate(axe)
    assert page.evaluate(RUN) == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_for_everybody(visit: Visit, axe: str, scheme: str) -> None:
    reader = visit(color_scheme=scheme)
    for name, path in OPEN.items():
        reader.go(path)
        look(reader.page, f"{name}-{scheme}", axe)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_pages_of_an_author(visit: Visit, axe: str, scheme: str) -> None:
    ada = visit(color_scheme=scheme, signed_in=True)
    ada.go("/account")
    look(ada.page, f"account-empty-{scheme}", axe)
    path = ada.publish(f"A post in {scheme}", "One paragraph.\n\nAnother, with a_very_long_word" + "_and_more" * 20)
    look(ada.page, f"post-own-published-{scheme}", axe)
    pages = {"account": "/account", "write": "/posts/new", "edit": f"{path}/edit", "delete": f"{path}/delete"}
    pages |= {"sign-out": "/auth/sign-out", "new-password": "/auth/new-password", "not-mine": "/posts/1/edit"}
    for name, path in pages.items():
        ada.go(path)
        look(ada.page, f"{name}-{scheme}", axe)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_pages_that_say_what_is_wrong(visit: Visit, axe: str, scheme: str, scripts: bool) -> None:
    ada = visit(color_scheme=scheme, signed_in=True)
    if not scripts:  # axe is one itself, so only turnout.js is kept away
        empty = {"body": "", "content_type": "text/javascript"}
        ada.context.route("**/_turnout/turnout.js", lambda route: route.fulfill(**empty))
    how = f"{scheme}{'' if scripts else '-without-javascript'}"
    for name, path, button in (
        ("write", "/posts/new", "Publish"),
        ("contact", "/contact", "Send"),
        ("guestbook", "/guestbook", "Sign"),
    ):
        ada.go(path)
        for field in ada.page.locator("main input:not([type=file]), main textarea").all():
            field.fill("x@y" if field.get_attribute("type") == "email" else "   ")
        ada.page.get_by_role("button", name=button, exact=True).click()
        ada.page.locator(".wrong:not(:empty)").first.wait_for()
        look(ada.page, f"{name}-wrong-{how}", axe)
    ada.context.clear_cookies()
    ada.go("/auth/sign-in")
    ada.page.get_by_label("E-mail address").fill("who@example.com")
    ada.page.get_by_label("Password").fill("wrong horse")
    ada.page.get_by_label("Password").press("Enter")
    ada.page.get_by_role("alert").wait_for()
    look(ada.page, f"sign-in-wrong-{how}", axe)


def test_no_page_is_wider_than_a_narrow_screen(visit: Visit) -> None:
    ada = visit(viewport={"width": 320, "height": 640}, signed_in=True)
    path = ada.publish("A title_that_has_no_place_to_break_and_is_longer_than_any_phone_is_wide", "x" * 300)
    pages = OPEN | {"post-long": path, "account": "/account", "write": "/posts/new", "edit": f"{path}/edit"}
    for name, path in pages.items():
        ada.go(path)
        ada.page.screenshot(path=SCREENSHOTS / f"{name}-320.png", full_page=True, animations="disabled")
        assert ada.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_the_header_leaves_a_phone_to_the_page(visit: Visit) -> None:
    reader = visit(viewport={"width": 360, "height": 640})
    for path in OPEN.values():
        reader.go(path)
        header = reader.page.locator("header").bounding_box()
        assert header and header["height"] <= 120, path


def test_text_may_be_twice_as_large(visit: Visit) -> None:
    reader = visit(viewport={"width": 640, "height": 640})
    for name, path in OPEN.items():
        reader.go(path)
        reader.page.evaluate("document.documentElement.style.fontSize = '200%'")
        assert reader.page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name


def test_what_is_printed_is_the_post(visit: Visit) -> None:
    reader = visit()
    reader.go("/posts/1")
    reader.page.emulate_media(media="print")
    reader.page.screenshot(path=SCREENSHOTS / "post-printed.png", full_page=True)

    assert reader.page.locator(".prose").is_visible()
    for part in ("nav", "footer"):
        assert not any(each.is_visible() for each in reader.page.locator(part).all())


def test_nothing_moves_for_who_asked_for_that(visit: Visit) -> None:
    ada, bob = visit(reduced_motion="reduce"), visit(scripts=False)
    ada.go("/guestbook")
    ada.page.get_by_text("New entries appear by themselves").wait_for()
    bob.go("/guestbook")
    bob.page.get_by_label("Your name").fill("Bob")
    bob.page.get_by_label("Message").fill("Calm")
    bob.page.get_by_role("button", name="Sign", exact=True).click()

    ada.page.locator("#entries .new").wait_for()

    assert ada.page.evaluate("document.getAnimations().length") == 0
