"""Whatever a contract holds, both clients of it are right programs, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from client.compile import compile_ts, needs_tsc
from contract.contracts import contracts
from hypothesis import HealthCheck, given, seed, settings

from turnout.client.python import python
from turnout.client.typescript import typescript
from turnout.contract.model import Contract

COUNT = int(os.environ.get("TURNOUT_CONTRACTS", "40"))


def found() -> list[Contract]:
    """Random contracts, the same in each run unless more are asked for: one run of a compiler checks them all."""
    kept: list[Contract] = []

    @seed(7)
    @settings(max_examples=COUNT, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(contracts)
    def keep(contract: Contract) -> None:
        kept.append(contract)

    keep()
    return kept


@pytest.fixture(scope="module")
def random_contracts() -> list[Contract]:
    return found()


@needs_tsc
def test_the_typescript_of_any_contract_compiles(tmp_path: Path, random_contracts: list[Contract]) -> None:
    files = [f"api{number}.ts" for number in range(len(random_contracts))]
    for file, contract in zip(files, random_contracts, strict=True):
        (tmp_path / file).write_text(typescript(contract), "utf-8")

    said = compile_ts(tmp_path, *files)

    assert said == ""


def test_the_python_of_any_contract_is_well_typed(tmp_path: Path, random_contracts: list[Contract]) -> None:
    pytest.importorskip("mypy")
    files = [f"api{number}.py" for number in range(len(random_contracts))]
    for file, contract in zip(files, random_contracts, strict=True):
        (tmp_path / file).write_text(python(contract), "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary", *files]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert (done.stdout, done.stderr) == ("", "")
    imports = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"for n in range({len(files)}): __import__(f'api{{n}}')"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert imports.stderr == ""


def test_the_same_contract_gives_the_same_bytes(random_contracts: list[Contract]) -> None:
    for contract in random_contracts:
        try:
            again = msgspec.json.decode(msgspec.json.encode(contract), type=Contract)
        except (msgspec.EncodeError, UnicodeEncodeError):  # half a surrogate pair is no JSON
            again = msgspec.structs.replace(contract)
        turned = msgspec.structs.replace(
            again,
            operations=again.operations[::-1],
            schemas=dict(reversed(again.schemas.items())),
        )

        assert typescript(contract) == typescript(again) == typescript(turned)
        assert python(contract) == python(again) == python(turned)
