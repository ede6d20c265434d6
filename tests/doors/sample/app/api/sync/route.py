from turnout import current_request


def GET(request):
    return {"path": current_request().path}
