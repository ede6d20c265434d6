"""The sample under an ASGI host."""

from pathlib import Path

from turnout import ASGI, load_project

app = ASGI(load_project(Path(__file__).parent).app)
