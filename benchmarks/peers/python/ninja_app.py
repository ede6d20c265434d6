"""Django Ninja with async views, the settings in one file, no middleware.

Run:  uvicorn ninja_app:app
"""

from typing import Annotated, Any

import django
from django.conf import settings

settings.configure(ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF="ninja_app", MIDDLEWARE=[], INSTALLED_APPS=[], USE_TZ=True)
django.setup()

from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest  # noqa: E402
from django.urls import path  # noqa: E402
from ninja import NinjaAPI, Schema, Status  # noqa: E402
from pydantic import Field  # noqa: E402
from rows import ten_rows  # noqa: E402

api = NinjaAPI(docs_url=None, openapi_url=None)


class Item(Schema):
    name: Annotated[str, Field(min_length=1, max_length=100)]
    price: Annotated[float, Field(ge=0)]
    quantity: Annotated[int, Field(ge=1)]
    tags: list[str] = []  # noqa: RUF012


@api.get("/hello")
async def hello(request: HttpRequest) -> dict[str, str]:
    return {"message": "Hello World!"}


@api.get("/items/{int:id}")
async def get_item(request: HttpRequest, id: int, q: str | None = None) -> dict[str, Any]:
    return {"id": id, "q": q}


@api.post("/items", response={201: dict[str, Any]})
async def add_item(request: HttpRequest, item: Item) -> Any:
    return Status(201, {"name": item.name, "tags": item.tags, "total": item.price * item.quantity})


@api.get("/articles")
async def articles(request: HttpRequest) -> list[dict[str, Any]]:
    return ten_rows()


urlpatterns = [path("api/", api.urls)]
app = get_asgi_application()
