"""Falcon's ASGI app; validation by msgspec (item.py), as Falcon's guide suggests.

Run:  granian --interface asgi falcon_app:app
"""

import falcon
import falcon.asgi
from falcon.asgi import Request, Response
from item import BadItem, answer, to_item
from rows import ten_rows


class Hello:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = {"message": "Hello World!"}


class Item:
    async def on_get(self, req: Request, resp: Response, id: int) -> None:
        resp.media = {"id": id, "q": req.get_param("q")}


class Items:
    async def on_post(self, req: Request, resp: Response) -> None:
        try:
            item = to_item(await req.stream.read())
        except BadItem as exc:
            raise falcon.HTTPUnprocessableEntity(description=str(exc)) from exc
        resp.status = falcon.HTTP_201
        resp.media = answer(item)


class Articles:
    async def on_get(self, req: Request, resp: Response) -> None:
        resp.media = ten_rows()


app = falcon.asgi.App()
app.add_route("/api/hello", Hello())
app.add_route("/api/items/{id:int}", Item())
app.add_route("/api/items", Items())
app.add_route("/api/articles", Articles())
