"""A handler in a thread that nobody can stop: it ends when the file ``gate`` exists."""

import time
from pathlib import Path

max_duration = 0.5
GATE = Path(__file__).parents[3] / "gate"


def GET(request):
    while "stuck" in request.target and not GATE.exists():
        time.sleep(0.02)
    return {"ended": True}
