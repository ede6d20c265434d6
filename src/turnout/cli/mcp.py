"""Serve the project to coding agents by the Model Context Protocol: routes, tables, errors, logs, calls, recipes.

On standard input and output, which is what agents start: {"command": "turnout", "args": ["mcp"]}.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from ..errors import ConfigError
from .load import project_root

TOKEN = "TURNOUT_MCP_TOKEN"
PORT = 8765


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("folder", nargs="?", type=Path, help="the project (default: the current folder)")
    parser.add_argument("--read-only", action="store_true", help="recipes are shown and never written")
    parser.add_argument("--http", action="store_true", help="serve by HTTP, on this machine alone and behind a token")
    parser.add_argument("--port", type=int, default=PORT, help=f"with --http: the port (default: {PORT}; 0 for any)")


def run(args: argparse.Namespace) -> int:
    """Serve until the agent or the user ends it."""
    from ..ai import mcp

    root = project_root(args.folder)
    if args.http:
        return _http(root, args.port, not args.read_only)
    asyncio.run(mcp.serve_stdio(root, may_apply=not args.read_only))
    return 0


def _http(root: Path, port: int, may_apply: bool) -> int:
    import secrets
    import socket

    from ..ai import mcp

    if os.environ.get("TURNOUT_MODE") == "production":
        raise ConfigError(
            "turnout mcp --http is for development", cure="run it on the machine where the code is written"
        )
    try:
        import uvicorn
    except ImportError as exc:
        raise ConfigError("turnout mcp --http needs uvicorn", cure='pip install "turnout[ai]"') from exc
    token = os.environ.get(TOKEN) or secrets.token_urlsafe(32)
    if len(token) < 32:
        raise ConfigError(f"{TOKEN} has fewer than 32 characters", cure="leave it out, and each run makes its own")
    with socket.create_server(("127.0.0.1", port)) as sock:
        port = sock.getsockname()[1]
        app = mcp.http_app(mcp.Tools(root, may_apply=may_apply), port, token)
        shown = token if TOKEN not in os.environ else f"${TOKEN}"
        print(f"http://127.0.0.1:{port}/mcp\nAuthorization: Bearer {shown}", file=sys.stderr, flush=True)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", server_header=False))
        asyncio.run(server.serve(sockets=[sock]))
    return 0
