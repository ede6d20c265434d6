body_limit = "64 KB"


async def POST(request):
    form = await request.form_data()
    fields = []
    for name, value in form:
        fields.append([name, value if isinstance(value, str) else [value.filename, (await value.read()).decode()]])
    return fields
