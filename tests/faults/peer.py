"""The sample's routes in FastAPI, so that the fuzzer can be run against another server once.

uvicorn peer:app --port 8123    # in an environment with fastapi and uvicorn[standard]
python -m faults.fuzz 8123 3000
"""

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel

app = FastAPI()
notes: list[str] = []


class Note(BaseModel):
    text: str


@app.get("/api/hello")
async def hello():
    return {"pid": 1}


@app.get("/api/items/{id}")
async def items(id: int, q: str = "", limit: int = 10):
    return {"id": id, "q": q, "limit": limit}


@app.get("/api/notes")
async def count():
    return {"count": len(notes)}


@app.post("/api/notes", status_code=201)
async def add(note: Note):
    notes.append(note.text)
    return {"id": len(notes)}


@app.post("/api/echo")
@app.post("/api/form")
async def echo(request: Request):
    return Response(await request.body(), media_type="application/octet-stream")


@app.get("/api/stream")
async def stream(items: int = 10):
    async def lines():
        for number in range(min(items, 1_000)):
            yield f"{number}\n"
            await asyncio.sleep(0.05)

    return StreamingResponse(lines(), media_type="text/plain")
