"""What people do on the example's pages, each with and without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from browser.blog import Blog, Visitor
from browsers import until

Visit = Callable[..., Visitor]

GIF = bytes.fromhex("47494638396101000100800000ff000000000021f90400000000002c00000000010001000002024401003b")


def test_a_person_signs_up_writes_changes_and_deletes_a_post(visit: Visit, scripts: bool) -> None:
    title = f"On points and crossings, {scripts}"
    ada = visit(scripts=scripts)
    page = ada.page
    ada.go("/")
    page.get_by_role("link", name="Write", exact=True).click()
    page.get_by_role("link", name="Create an account").click()
    page.get_by_label("E-mail address").fill(ada.email)
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Create account").click()

    page.get_by_role("heading", name="Write a post").wait_for()
    ada.fill_post(title, "First paragraph.\n\nSecond\nparagraph.", "Ada")
    page.get_by_label("Picture (optional)").set_input_files({"name": "x.gif", "mimeType": "image/gif", "buffer": GIF})
    page.get_by_label("What the picture shows").fill("A red point")
    page.get_by_role("button", name="Publish").click()
    page.get_by_text("Your post is published.").wait_for()
    page.wait_for_load_state()
    assert page.locator(".prose p").all_inner_texts() == ["First paragraph.", "Second\nparagraph."]
    assert "Ada" in page.locator("article .meta").inner_text()
    picture = page.get_by_role("img", name="A red point")
    until(page, lambda: picture.evaluate("(img) => img.naturalWidth") == 1, "the picture")
    path = page.url

    page.reload()
    assert page.get_by_text("Your post is published.").count() == 0  # said once
    reader = visit(scripts=scripts)
    for place in ("/", "/posts"):
        reader.go(place)
        assert reader.sees(title)
    reader.page.get_by_role("link", name=title).click()
    reader.page.get_by_role("heading", level=1, name=title).wait_for()
    reader.page.wait_for_load_state()
    assert reader.page.get_by_role("link", name="Edit").count() == 0

    page.get_by_role("link", name="Edit").click()
    assert page.get_by_label("Title").input_value() == title
    ada.fill_post(f"{title}: a correction", "Third thoughts.")
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Your changes are saved.").wait_for()
    reader.go("/posts")
    assert reader.sees(f"{title}: a correction") and not reader.page.get_by_text(title, exact=True).count()

    page.get_by_role("link", name="Delete").click()
    page.get_by_role("link", name="Keep it").click()
    page.wait_for_url(path)
    page.get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_text("The post is deleted.").wait_for()
    assert reader.go(path).status == 404
    assert reader.page.get_by_role("heading", level=1, name="Nothing here").is_visible()
    reader.go("/posts")
    assert reader.page.get_by_text(title).count() == 0


def test_what_does_not_fit_is_said_beside_its_field_and_nothing_typed_is_lost(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    page = ada.page
    ada.go("/posts/new")
    ada.fill_post("   ", "A text that took an hour.\nAnd another line.", "   ")

    page.get_by_role("button", name="Publish").click()

    page.locator("#title-error:not(:empty)").wait_for()
    page.wait_for_load_state()
    assert scripts or ada.sees("Please check what is marked.")
    for label, wrong in (("Title", True), ("Text", False), ("Your name", True)):
        field = page.get_by_label(label)
        told = page.locator(f"#{field.get_attribute('id')}-error")
        assert (field.get_attribute("aria-invalid") == "true") is wrong, label
        assert told.get_attribute("id") in str(field.get_attribute("aria-describedby")).split()
        assert bool(told.inner_text().strip()) is wrong, label
    assert page.get_by_label("Text").input_value() == "A text that took an hour.\nAnd another line."
    page.locator("[name=title]:focus").wait_for()
    assert page.title().startswith("Error: ") or scripts

    page.get_by_label("Title").fill("A title after all")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("heading", level=1, name="A title after all").wait_for()
    page.wait_for_load_state()
    assert page.locator(".prose p").inner_text() == "A text that took an hour.\nAnd another line."


def test_an_edit_that_does_not_fit_shows_the_form_of_that_post_again(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    path = ada.publish(f"To be changed, {scripts}")
    ada.go(f"{path}/edit")
    ada.fill_post("  ", "Changed.")
    ada.page.get_by_role("button", name="Save").click()
    ada.page.locator("#title-error:not(:empty)").wait_for()
    ada.page.wait_for_load_state()
    assert ada.page.get_by_label("Text").input_value() == "Changed."

    ada.page.get_by_label("Title").fill("Changed title")
    ada.page.get_by_role("button", name="Save").click()

    ada.page.get_by_role("heading", level=1, name="Changed title").wait_for()
    assert ada.page.url == f"{ada.blog.url}{path}"


def test_a_double_click_publishes_one_post(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    ada.go("/posts/new")
    ada.fill_post("Twice", "Clicked twice.", "Ada")

    ada.page.get_by_role("button", name="Publish").dblclick()

    ada.page.get_by_role("heading", level=1, name="Twice").wait_for()
    ada.go("/account")
    assert ada.page.get_by_role("link", name="Twice").count() == 1


def test_the_back_button_leads_to_the_form_and_not_to_a_second_post(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    ada.publish("There and back")
    ada.page.go_back()
    ada.page.get_by_role("heading", name="Write a post").wait_for()
    if ada.page.get_by_label("Title").input_value():  # browsers may give back what was typed
        ada.page.get_by_role("button", name="Publish").click()
        ada.page.get_by_role("heading", level=1, name="There and back").wait_for()

    ada.go("/account")
    assert ada.page.get_by_role("link", name="There and back").count() == 1


def test_nobody_changes_somebody_elses_post(visit: Visit, scripts: bool) -> None:
    ada, eve = visit(scripts=scripts, signed_in=True), visit(scripts=scripts, signed_in=True)
    path = ada.publish(f"Mine, {scripts}")
    ada.go(f"{path}/edit")
    action = ada.page.locator("main form").get_attribute("action")

    eve.go(path)
    assert eve.page.get_by_role("link", name="Edit").count() == 0
    for place in ("edit", "delete"):
        answer = eve.go(f"{path}/{place}")
        assert answer.status == 403
        assert eve.page.get_by_role("heading", level=1, name="That is somebody else's").is_visible()
    # The very form of Ada's page, and the API.
    headers = {"origin": eve.blog.url}
    forged = eve.context.request.post(action, form={"title": "Eve's", "content": "Eve's"}, headers=headers)
    assert forged.status == 403
    api = f"/api{path}"
    assert eve.context.request.put(api, data={"title": "Eve's", "content": "Eve's"}, headers=headers).status == 403
    assert eve.context.request.delete(api, headers=headers).status == 403

    reader = visit()
    reader.go(path)
    assert reader.sees(f"Mine, {scripts}")
    mine = ada.context.request.put(api, data={"title": "Still mine", "content": "x"}, headers=headers)
    assert mine.status == 200


def test_who_is_not_signed_in_is_asked_to_and_then_brought_back(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    ada.go("/account")
    assert ada.sees(ada.email)
    ada.page.get_by_role("button", name="Sign out").click()
    ada.page.get_by_role("heading", name="You are signed out").wait_for()

    ada.go("/account")
    ada.page.get_by_role("heading", name="Sign in").wait_for()
    ada.page.wait_for_load_state()
    ada.page.get_by_label("E-mail address").fill(ada.email)
    ada.page.get_by_label("Password").fill("wrong horse")
    ada.page.get_by_role("button", name="Sign in", exact=True).click()
    assert "do not match an account" in ada.page.get_by_role("alert").inner_text()
    ada.sign_in()

    ada.page.wait_for_url(f"{ada.blog.url}/account")
    assert ada.sees(ada.email)


def test_a_session_that_ends_while_somebody_writes_costs_no_text(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts, signed_in=True)
    ada.go("/posts/new")
    ada.fill_post("Late", "Written for too long.", "Ada")
    ada.context.clear_cookies()

    ada.page.get_by_role("button", name="Publish").click()

    ada.page.get_by_role("alert").get_by_text("You are not signed in.").wait_for()
    assert ada.page.get_by_label("Text").input_value() == "Written for too long."
    other = ada.another_page()
    other.goto("/auth/sign-in")
    page, ada.page = ada.page, other
    ada.sign_in()
    other.wait_for_url(f"{ada.blog.url}/")
    page.get_by_role("button", name="Publish").click()
    page.get_by_role("heading", level=1, name="Late").wait_for()


def test_a_message_arrives_in_the_outbox_once(visit: Visit, scripts: bool, blog: Blog) -> None:
    ada = visit(scripts=scripts)
    page = ada.page
    ada.go("/contact")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("E-mail address").fill("ada@nowhere")  # the browser takes that, the mail server would not
    page.get_by_label("Message").fill("Hello!\n\nGoodbye.")
    page.get_by_role("button", name="Send").click()
    page.get_by_text("This does not look like an e-mail address.").wait_for()
    page.wait_for_load_state()
    assert page.get_by_label("Message").input_value() == "Hello!\n\nGoodbye."

    page.get_by_label("E-mail address").fill(ada.email)
    page.get_by_role("button", name="Send").dblclick()

    page.locator("main").get_by_text("Thank you. Your message is on its way.").wait_for()
    mail = blog.mail_of(ada.email)
    assert (mail["to"], mail["subject"]) == ("owner@example.com", "Message from Ada")
    assert mail.get_content().split() == ["Hello!", "Goodbye."]
    page.reload()
    assert page.get_by_text("Thank you").count() == 0
    assert page.get_by_label("Message").input_value() == ""


def test_an_entry_of_the_guestbook_is_on_the_page_of_who_wrote_it(visit: Visit, scripts: bool) -> None:
    ada = visit(scripts=scripts)
    ada.go("/guestbook")
    sign(ada, "   ", "Here.")
    ada.page.locator("#name-error:not(:empty)").wait_for()
    ada.page.wait_for_load_state()

    sign(ada, "Ada", f"Here, {scripts}.")

    entry = ada.page.locator("#entries > li").first
    entry.get_by_text(f"Here, {scripts}.").wait_for()
    ada.page.locator("main").get_by_text("Thank you for signing.").wait_for()
    assert ada.page.get_by_text(f"Here, {scripts}.", exact=True).count() == 1
    assert ada.page.get_by_label("Message").input_value() == ""


def test_an_open_guestbook_shows_what_others_write_at_once(visit: Visit) -> None:
    ada, bob = visit(), visit(scripts=False)
    ada.go("/guestbook")
    ada.page.get_by_text("New entries appear by themselves").wait_for()
    list_ = ada.page.get_by_role("list", name="Who was here")
    assert list_.get_attribute("aria-live") == "polite"
    before = list_.locator("> li").count()

    bob.go("/guestbook")
    sign(bob, "Bob", "<b>Live</b> & well")
    thanked(bob)
    list_.get_by_text("<b>Live</b> & well").wait_for()
    sign(bob, "Bob", "Again")
    thanked(bob)
    list_.get_by_text("Again").wait_for()

    assert list_.locator("> li").count() == before + 2
    assert list_.locator("> li").first.inner_text().startswith("Bob")
    ada.page.reload()  # the same by a reload
    assert list_.locator("> li").count() == before + 2


def test_an_open_guestbook_misses_nothing_while_its_connection_is_away(visit: Visit) -> None:
    ada, bob = visit(), visit(scripts=False)
    ada.go("/guestbook")
    ada.page.get_by_text("New entries appear by themselves").wait_for()
    ada.context.set_offline(True)
    bob.go("/guestbook")
    sign(bob, "Bob", "While you were away")
    thanked(bob)
    ada.context.set_offline(False)

    entry = ada.page.get_by_text("While you were away", exact=True)
    entry.wait_for()

    assert entry.count() == 1
    ada.complaints.clear()  # of the network, which was away


def sign(visitor: Visitor, name: str, message: str) -> None:
    visitor.page.get_by_label("Your name").fill(name)
    visitor.page.get_by_label("Message").fill(message)
    visitor.page.get_by_role("button", name="Sign", exact=True).click()


def thanked(visitor: Visitor) -> None:
    """Wait until what was signed is there: a click alone returns before."""
    visitor.page.locator("main").get_by_text("Thank you for signing.").wait_for()
    visitor.page.wait_for_load_state()


def test_what_people_write_is_text_everywhere(visit: Visit, scripts: bool) -> None:
    evil = f"<script>document.title = 'RAN'</script><img src=x onerror=\"document.title='RAN'\"> {scripts}"
    eve = visit(scripts=scripts, signed_in=True)
    path = eve.publish(evil, evil)
    eve.go("/guestbook")
    sign(eve, evil[:80], evil)
    thanked(eve)

    reader = visit()
    for place in ("/", "/posts", path, "/guestbook"):
        reader.go(place)
        assert evil in reader.page.locator("main").inner_text(), place
        assert reader.page.title() != "RAN" and reader.page.locator("main img").count() == 0


def test_the_list_of_posts_has_pages(visit: Visit, scripts: bool) -> None:
    reader = visit(scripts=scripts)
    reader.go("/posts")
    first = links(reader.page)
    reader.page.get_by_role("link", name="Older posts").click()
    reader.page.wait_for_url("**/posts?page=2")
    second = links(reader.page)
    assert len(first) == 5 and second and not set(first) & set(second)
    reader.page.get_by_role("link", name="Newer posts").click()
    reader.page.wait_for_url("**/posts")
    assert reader.go("/posts?page=999").status == 200
    assert reader.page.get_by_text("There is no page 999.").is_visible()
    assert reader.go("/posts?page=none").status == 422
    assert reader.page.get_by_role("heading", level=1, name="That did not fit").is_visible()


def links(page: Any) -> list[str]:
    return [link.get_attribute("href") for link in page.locator(".posts h2 a").all()]


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    ada = visit(signed_in=True)
    page, keyboard = ada.page, ada.page.keyboard
    ada.go("/")
    keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0  # it is seen
    keyboard.press("Enter")
    page.locator(":target").wait_for()
    keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")

    ada.go("/")
    stops = []
    for _ in range(7):
        keyboard.press("Tab")
        stops.append(focused(page))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    assert stops == ["Skip to the content", "Branch Line", "Posts", "Guestbook", "Contact", "Account", "Write"]
    keyboard.press("Enter")
    page.get_by_role("heading", name="Write a post").wait_for()
    page.wait_for_load_state()

    for _ in range(8):
        keyboard.press("Tab")
    page.locator("[name=title]:focus").wait_for()
    keyboard.type("By keys")
    keyboard.press("Tab")
    keyboard.type("Nothing but keys.")
    for _ in range(3):
        keyboard.press("Tab")
    keyboard.type("Ada")
    keyboard.press("Enter")
    page.get_by_role("heading", level=1, name="By keys").wait_for()


def focused(page: Any) -> str:
    return str(page.evaluate("document.activeElement.innerText.trim()"))


@pytest.mark.parametrize("path", ["/", "/posts", "/guestbook", "/contact", "/about"])
def test_a_page_that_nobody_is_signed_in_on_sets_no_cookie(visit: Visit, path: str) -> None:
    reader = visit()
    answer = reader.go(path)

    assert "set-cookie" not in answer.all_headers()
    assert reader.context.cookies() == []
