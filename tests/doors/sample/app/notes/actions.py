from turnout import ActionError, action, current_request, flash, redirect


@action
async def add(text: str, times: int = 1):
    if text == "shout":
        raise ActionError("Please do not shout.", field="text")
    flash(current_request(), "Saved", "success")
    return redirect("/notes")


@action
async def count(words: list[str]):
    return {"words": len(words)}
