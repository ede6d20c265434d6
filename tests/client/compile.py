"""TypeScript's compiler, as strict as it can be told to be."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TSC = HERE.parent / "js" / "node_modules" / ".bin" / "tsc"
OPTIONS = {
    "strict": True,
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "noPropertyAccessFromIndexSignature": True,
    "noImplicitOverride": True,
    "noImplicitReturns": True,
    "noFallthroughCasesInSwitch": True,
    "noUnusedLocals": True,
    "noUnusedParameters": True,
    "isolatedModules": True,
    "verbatimModuleSyntax": True,
    "erasableSyntaxOnly": True,
    "target": "es2022",
    "module": "nodenext",
    "lib": ["es2022", "dom", "dom.iterable", "dom.asynciterable"],
    "types": [],
    "rootDir": ".",
    "outDir": "built",
}

needs_tsc = pytest.mark.skipif(
    shutil.which("node") is None or not TSC.exists(), reason="needs node, and npm ci in tests/js"
)


def compile_ts(folder: Path, *files: str) -> str:
    """Compile *files* of *folder* into its ``built``; what the compiler said."""
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": OPTIONS, "files": files}))
    done = subprocess.run([TSC, "-p", "."], cwd=folder, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr
