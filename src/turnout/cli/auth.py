"""Keys that sign tokens: make, rotate and show them.

Production takes them from TURNOUT_AUTH_KEYS, elsewhere they are in .turnout/keys.json. Mode and so
the .env files are development's, or what TURNOUT_MODE says.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..env import Mode, load_env
from .load import project_root
from .main import WrongUsage

if TYPE_CHECKING:
    from ..auth.keys import Keys


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    root = argparse.ArgumentParser(add_help=False)
    root.add_argument("--root", type=Path, help="the project (default: the current folder)")
    root.add_argument("--json", action="store_true", help="one JSON object")
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    keys = commands.add_parser("keys", parents=[root], help="print a new TURNOUT_AUTH_KEYS, which is a secret")
    keys.add_argument(
        "--rotate", action="store_true", help="put a new key before those there are; tokens of the old ones stay good"
    )
    keys.add_argument("--keep", type=int, default=3, metavar="N", help="with --rotate: how many to keep in all (3)")
    commands.add_parser("show", parents=[root], help="print the public keys, and the anon and service_role keys")


def run(args: argparse.Namespace) -> int:
    """Do one of them."""
    root = project_root(args.root)
    mode = cast(Mode, os.environ.get("TURNOUT_MODE", "development"))
    env = load_env(root, mode)
    if args.action == "keys":
        return _print_keys(root, mode, env, args)
    from ..auth.keys import Keys

    return _show(Keys.load(root, mode, env), as_json=args.json)


def _print_keys(root: Path, mode: Mode, env: dict[str, str], args: argparse.Namespace) -> int:
    from ..auth.keys import VARIABLE, Keys, keys_file, make_key, read_keys, write_keys

    if not args.rotate:
        return _print_line(VARIABLE, [make_key()], as_json=args.json)
    if args.keep < 2:
        raise WrongUsage("--keep is at least 2: the new key and one before it", cure="turnout auth keys --rotate")
    before = read_keys(root, mode, env)
    ring = [make_key(), *before][: args.keep]
    Keys.of(ring)
    if env.get(VARIABLE):
        return _print_line(VARIABLE, ring, as_json=args.json)
    write_keys(keys_file(root), ring, replace=True)
    if args.json:
        print(json.dumps({"file": str(keys_file(root)), "kids": [each["kid"] for each in ring]}))
    else:
        print(f"{keys_file(root)}: {ring[0]['kid']} signs now, {len(ring) - 1} more verify")
    return 0


def _print_line(variable: str, jwks: list[dict[str, Any]], *, as_json: bool) -> int:
    value = json.dumps(jwks, separators=(",", ":"))
    print(json.dumps({variable: value}) if as_json else f"{variable}='{value}'")
    return 0


def _show(keys: Keys, *, as_json: bool) -> int:
    found = {"jwks": keys.jwks(), "anon": keys.api_key("anon"), "service_role": keys.api_key("service_role")}
    if as_json:
        print(json.dumps(found))
        return 0
    for number, key in enumerate(keys.ring):
        print(f"{key.kid or '(no kid)'}  {key.alg}  {'signs' if number == 0 else 'verifies'}")
    print(f"anon          {found['anon']}")
    print(f"service_role  {found['service_role']}  (a secret)")
    return 0
