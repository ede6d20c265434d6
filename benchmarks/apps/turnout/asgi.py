"""The same project under uvicorn."""

from pathlib import Path

from turnout import ASGI, load_project

app = ASGI(load_project(Path(__file__).parent, mode="production").app)
