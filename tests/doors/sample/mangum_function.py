"""The sample's ASGI door under Mangum, as people who know it from elsewhere would have it."""

from pathlib import Path

from mangum import Mangum

from turnout import ASGI, load_project

handler = Mangum(ASGI(load_project(Path(__file__).parent).app))
