"""Forms of actions in a browser: with turnout.js, and without any script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from actions.site import FILES
from browsers import chromium, new_context, until
from served import Served, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("site"), FILES) as running:
        migrate = [sys.executable, "-m", "turnout", "db", "migrate"]
        subprocess.run(migrate, cwd=running.root, check=True, capture_output=True)
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


class Seen:
    """A page, and what it did: documents loaded, actions called, errors of its console."""

    def __init__(self, browser: Any, server: Served, *, script: bool = True) -> None:
        self.context = new_context(browser, java_script_enabled=script)
        self.page = self.context.new_page()
        self.documents, self.calls, self.console = 0, 0, []
        self.page.on("request", self._note)
        self.page.on("console", lambda said: self.console.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.console.append(str(error)))
        self.url = server.url

    def _note(self, request: Any) -> None:
        self.documents += request.is_navigation_request()
        self.calls += request.method == "POST"

    def open(self, path: str = "/posts") -> Any:
        self.page.goto(self.url + path)
        return self.page

    def send(self, button: str) -> None:
        """Press the button of a form that loads a page, and wait for that page."""
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button).click()

    def close(self) -> None:
        """Close it; what it was last is printed, which is shown of a test that failed."""
        print(self.page.url, f"{self.documents} documents, {self.calls} calls", *self.console, sep="\n")
        self.context.close()


@pytest.fixture
def seen(browser: Any, server: Served) -> Iterator[Seen]:
    found = Seen(browser, server)
    yield found
    found.close()


@pytest.fixture
def plain(browser: Any, server: Served) -> Iterator[Seen]:
    found = Seen(browser, server, script=False)
    yield found
    found.close()


# -- with the script


def test_a_form_is_sent_without_loading_the_page_and_the_page_shows_what_came_of_it(seen: Seen) -> None:
    page = seen.open()
    page.fill("#draft", "not sent yet")
    page.fill("#title", "From a script")
    page.get_by_role("button", name="Write").click()

    page.get_by_text("From a script, note").wait_for()
    assert page.locator("main [role=status]").inner_text() == "Saved From a script"
    assert (page.input_value("#title"), page.input_value("#draft")) == ("", "not sent yet")
    assert (seen.documents, seen.calls, seen.console) == (1, 1, [])
    assert page.evaluate("document.activeElement.tagName") == "MAIN"
    page.locator("#turnout-voice", has_text="Saved From a script").wait_for(state="attached")
    page.reload()
    assert page.locator("main [role=status]").count() == 0


def test_what_the_page_says_after_a_form_far_below_is_in_sight(seen: Seen) -> None:
    page = seen.open()
    page.set_viewport_size({"width": 360, "height": 300})
    page.evaluate("Object.assign(document.querySelector('main').style, {display: 'grid', rowGap: '900px'})")
    page.fill("#title", "From far below")
    page.get_by_role("button", name="Write").click()

    page.get_by_text("From far below, note").wait_for()
    assert 0 <= page.locator("main [role=status]").bounding_box()["y"] < 300


def test_errors_stand_beside_their_fields_and_go_when_they_are_mended(seen: Seen) -> None:
    page = seen.open()
    page.fill("#title", "x")
    page.fill("#pages", "many")
    page.press("#pages", "Enter")

    page.locator("#title-error").wait_for()
    assert page.inner_text("#title-error") == "Enter at least 3 characters."
    assert page.inner_text("#pages-error") == "Enter a whole number."
    assert page.get_attribute("#title", "aria-invalid") == "true"
    assert page.get_attribute("#title", "aria-describedby") == "title-error"
    assert page.evaluate("document.activeElement.id") == "title"
    assert (page.input_value("#title"), seen.documents) == ("x", 1)
    page.fill("#title", "Longer than it was")
    page.press("#title", "Enter")
    page.locator("#title-error").wait_for(state="detached")
    assert page.inner_text("#pages-error") == "Enter a whole number."
    assert page.get_attribute("#title", "aria-describedby") is None
    page.fill("#pages", "")
    page.press("#pages", "Enter")
    page.get_by_text("Longer than it was, note").wait_for()
    assert page.locator("#pages-error").count() == 0


def test_what_an_action_says_of_the_form_as_a_whole_is_an_alert(seen: Seen) -> None:
    page = seen.open()
    page.fill("#title", "closed")
    page.press("#title", "Enter")

    page.get_by_role("alert").wait_for()
    assert page.get_by_role("alert").inner_text() == "Nothing can be written today."
    page.fill("#title", "taken")
    page.press("#title", "Enter")
    page.locator("#title-error").wait_for()
    assert page.inner_text("#title-error") == "There is one of that name."
    assert page.get_by_role("alert").count() == 0


def test_an_error_of_no_field_of_the_form_is_said_once_for_the_form(seen: Seen, plain: Seen) -> None:
    for each in (seen, plain):
        page = each.open("/posts?plain=1" if each is plain else "/posts")
        page.fill("#title", "misnamed")
        page.press("#title", "Enter")

        page.get_by_role("alert").wait_for()
        assert page.get_by_role("alert").inner_text() == "There is one of that name."
        assert page.input_value("#title") == "misnamed"


def test_a_form_that_is_under_way_is_busy_and_is_not_sent_twice(seen: Seen) -> None:
    under_way: list[Any] = []

    def keep(route: Any) -> None:
        under_way.append(route)  # until enough was seen

    seen.page.route("**/_actions/**", keep)
    page = seen.open()
    page.fill("#title", "Held up")
    page.get_by_role("button", name="Write").click()

    page.locator("#write[aria-busy=true]").wait_for()
    assert page.get_by_role("button", name="Write").is_disabled()
    page.evaluate("for (let i = 0; i < 3; i++) document.querySelector('#write').requestSubmit()")
    until(page, lambda: under_way, "the form's request")
    under_way[0].continue_()
    page.get_by_text("Held up, note").wait_for()
    assert page.get_attribute("#write", "aria-busy") is None
    assert page.get_by_role("button", name="Write").is_enabled()
    assert (seen.calls, page.get_by_text("Held up, note").count()) == (1, 1)


def test_files_and_choices_are_sent(seen: Seen) -> None:
    page = seen.open()
    page.fill("#title", "With a photo")
    page.get_by_label("Tale").check()
    page.set_input_files("#photo", {"name": "á b.png", "mimeType": "image/png", "buffer": b"x" * 70_000})
    page.get_by_role("button", name="Write").click()

    page.get_by_text("With a photo, tale, á b.png 70000").wait_for()


def test_without_a_connection_the_form_says_so_and_keeps_what_was_typed(seen: Seen) -> None:
    page = seen.open()
    page.fill("#title", "Typed in a tunnel")
    seen.context.set_offline(True)
    page.press("#title", "Enter")

    page.get_by_role("alert").wait_for()
    assert "could not be reached" in page.get_by_role("alert").inner_text()
    assert page.input_value("#title") == "Typed in a tunnel"
    seen.context.set_offline(False)
    page.get_by_role("button", name="Write").click()
    page.get_by_text("Typed in a tunnel, note").wait_for()


def test_an_answer_that_is_no_answer_is_said_to_be_none(seen: Seen) -> None:
    # Before the page is there: to put it between somebody's typing and sending is a race of its own.
    seen.page.route("**/_actions/**", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page = seen.open()
    page.fill("#title", "Behind a proxy")
    page.press("#title", "Enter")
    page.get_by_role("alert").wait_for()
    assert "no clear answer" in page.get_by_role("alert").inner_text()

    page.unroute("**/_actions/**")
    page.fill("#title", "broken")
    page.press("#title", "Enter")
    page.get_by_text("Internal Server Error").or_(page.get_by_text("RuntimeError")).wait_for()
    assert page.get_by_role("button", name="Write").is_enabled()


def test_a_redirect_is_followed_and_back_leads_to_the_form(seen: Seen) -> None:
    page = seen.open()
    page.fill("#title", "To be renamed")
    page.press("#title", "Enter")
    page.get_by_text("To be renamed, note").wait_for()
    number = page.locator("li").count()
    page.goto(f"{seen.url}/posts/{number}")
    page.fill("#title", "no")
    page.press("#title", "Enter")
    page.locator("#title-error").wait_for()
    page.fill("#title", "Renamed by now")
    page.press("#title", "Enter")

    page.get_by_role("heading", name="Renamed by now").wait_for()
    assert page.url == f"{seen.url}/posts/{number}"
    page.go_back()
    page.wait_for_url(f"{seen.url}/posts")
    page.get_by_text("Renamed by now, note").wait_for()
    page.fill("#title", "After going back")
    page.press("#title", "Enter")
    page.get_by_text("After going back, note").wait_for()


def test_own_scripts_call_actions_and_hear_of_forms(seen: Seen) -> None:
    page = seen.open()
    url = page.get_attribute("#write", "action")
    call = f"data => import('/_turnout/turnout.js').then(m => m.callAction({url!r}, data))"

    good = page.evaluate(call, {"title": "By hand", "pages": 3})
    assert good == {"ok": True, "status": 200, "data": None}
    wrong = page.evaluate(call, {"title": "x"})
    assert (wrong["ok"], wrong["status"], wrong["field_errors"]) == (
        False,
        422,
        {"title": "Enter at least 3 characters."},
    )
    page.evaluate("addEventListener('turnout:done', e => { document.body.lang = e.detail.ok; e.preventDefault(); })")
    page.fill("#title", "Prevented")
    page.press("#title", "Enter")
    page.locator("body[lang=true]").wait_for()
    assert page.get_by_text("Prevented, note").count() == 0
    until(page, lambda: seen.console, "the browser's word of the 422")
    assert seen.console == [
        "Failed to load resource: the server responded with a status of 422 (Unprocessable Content)"
    ]


def test_a_script_that_comes_late_leads_back_to_the_page(seen: Seen) -> None:
    page = seen.open("/posts?plain=1")
    page.fill("#title", "x")
    page.press("#title", "Enter")
    page.wait_for_url("**/_actions/*")
    assert page.inner_text("#title-error") == "Enter at least 3 characters."
    page.add_script_tag(url="/_turnout/turnout.js", type="module")
    page.fill("#title", "no")
    page.press("#title", "Enter")
    until(page, lambda: seen.calls == 2, "the script's own call")
    page.locator("#write:not([aria-busy])").wait_for()  # the error is there from before, and the form is sent once
    page.locator("#title[aria-invalid=true]").wait_for()
    page.fill("#title", "Late, and there")
    page.press("#title", "Enter")

    page.wait_for_url("**/posts?plain=1")
    page.get_by_text("Late, and there, note").wait_for()


# -- without


def test_everything_works_without_a_script(plain: Seen) -> None:
    page = plain.open("/posts?plain=1")
    page.fill("#title", "x")
    page.fill("#password", "correct horse")
    page.fill("#pages", "many")
    plain.send("Write")

    assert page.inner_text("#title-error") == "Enter at least 3 characters."
    assert page.inner_text("#pages-error") == "Enter a whole number."
    assert (page.input_value("#title"), page.input_value("#password")) == ("x", "")
    assert page.inner_text("header") == "/posts"
    page.fill("#title", "taken")
    page.fill("#pages", "")
    plain.send("Write")
    assert page.inner_text("#title-error") == "There is one of that name."
    page.fill("#title", "Plainly written")
    page.set_input_files("#photo", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"})
    plain.send("Write")
    assert page.url == f"{plain.url}/posts?plain=1"
    assert page.locator("main [role=status]").inner_text() == "Saved Plainly written"
    assert page.get_by_text("Plainly written, note, a.txt 5").is_visible()
    page.reload()
    assert page.locator("main [role=status]").count() == 0


def test_bound_arguments_and_redirects_work_without_a_script(plain: Seen) -> None:
    page = plain.open()
    page.fill("#title", "Plain and bound")
    plain.send("Write")
    number = page.locator("li").count()
    page.goto(f"{plain.url}/posts/{number}")
    page.get_by_label("Title").fill("no")
    plain.send("Rename")
    assert (page.inner_text("#title-error"), page.input_value("#title")) == ("Enter at least 3 characters.", "no")
    page.get_by_label("Title").fill("Renamed plainly")
    plain.send("Rename")

    assert page.url == f"{plain.url}/posts/{number}"
    assert page.get_by_role("heading", name="Renamed plainly").is_visible()
