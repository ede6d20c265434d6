"""fastapi-filebased-routing: route.py files under filebased/, found and registered at the start.

Run:  uvicorn filebased_app:app
"""

from pathlib import Path

from fastapi import FastAPI
from fastapi_filebased_routing import create_router_from_path

app = FastAPI()
app.include_router(create_router_from_path(Path(__file__).parent / "filebased"))
