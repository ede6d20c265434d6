"""What the forms of the pages do: functions with an address, `{{ actions.create_post.url }}`.

Parameters are the fields of the form, converted and checked by their annotations; check() and ActionError say what else
is wrong. Then the page is shown again, with what was typed; `return redirect(...)` goes on.
"""

from turnout import ActionError, Request, Response, UploadFile, action, after, create_client, flash, redirect

from lib import contact, guestbook, pictures, posts
from lib.email import Name, OneLine, is_email
from lib.forms import check, missing
from lib.rate_limit import rate_limit
from lib.users import signed_in

auth = "public"  # who has to be somebody is asked below, so that a form is not lost on the way to sign in
body_limit = "3 MB"  # of every form here; the picture is the largest part


@action
async def create_post(
    request: Request,
    title: posts.Title,
    content: posts.Content,
    name: Name,
    picture: UploadFile | None = None,
    description: OneLine = "",
) -> Response:
    user = await signed_in()
    kept = await pictures.read(picture, description) if picture else None
    check(
        title=missing(title),
        content=missing(content),
        name=missing(name),
        picture="Choose a PNG, JPEG or GIF of up to 2 MB." if picture and kept is None else None,
        description=missing(description) if picture else None,
    )
    id = await posts.add(user.id, title, content, name, kept)
    posts.changed()
    flash(request, "Your post is published.")
    return redirect(f"/posts/{id}")


@action
async def update_post(request: Request, id: int, title: posts.Title, content: posts.Content) -> Response:
    check(title=missing(title), content=missing(content))
    # On behalf of the user, and so by lib/policies.py: nobody else's post is changed, wherever the id came from.
    supabase = await create_client()
    changed = await supabase.table("posts").update({"title": title, "content": content}).eq("id", id).execute()
    if not changed.data:
        raise ActionError("This post is gone, or somebody else's.", status=403)
    posts.changed()
    flash(request, "Your changes are saved.")
    return redirect(f"/posts/{id}")


@action
async def delete_post(request: Request, id: int) -> Response:
    supabase = await create_client()
    gone = await supabase.table("posts").delete().eq("id", id).execute()
    if not gone.data:
        raise ActionError("This post is gone, or somebody else's.", status=403)
    posts.changed()
    flash(request, "The post is deleted.")
    return redirect("/account")


@action
async def send_message(request: Request, name: Name, email: str, message: contact.Message) -> Response:
    unlike = None if is_email(email) else "This does not look like an e-mail address."
    check(name=missing(name), email=missing(email) or unlike, message=missing(message))
    await slowly(request, "contact")
    await contact.receive(name, email, message, once=True)
    flash(request, "Thank you. Your message is on its way.")
    return redirect("/contact")


@action
async def sign_guestbook(request: Request, name: Name, message: guestbook.Message) -> Response:
    check(name=missing(name), message=missing(message))
    await slowly(request, "guestbook")
    if await guestbook.sign(name, message):
        after(guestbook.ring)  # others are told when this answer is on its way
    flash(request, "Thank you for signing.")
    return redirect("/guestbook")


async def slowly(request: Request, what: str) -> None:
    if not (await rate_limit(f"{what} {request.ip}")).success:
        raise ActionError("That was a little too fast. Wait a minute, then send it again.", status=429)
