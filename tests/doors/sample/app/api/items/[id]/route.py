from msgspec import Struct

from turnout import NotFound


class Item(Struct):
    name: str
    price: float = 0


async def GET(request, id: int):
    if id > 100:
        raise NotFound("No such item")
    return {"id": id, "q": request.search_params.get_all("q")}


async def PUT(request, id: int, body: Item):
    return {"id": id, "item": body}


async def DELETE(request, id: int):
    return None
