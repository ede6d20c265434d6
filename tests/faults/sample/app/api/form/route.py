async def POST(request):
    form = await request.form_data()
    return {"names": sorted({name for name, _ in form})}
