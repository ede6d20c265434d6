from turnout import render


async def GET(request):
    return render("notes.html", title="Notes & more")
