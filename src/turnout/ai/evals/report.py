"""Counting: how many answers work, how many are secure too, and how sure one can be of that with so few."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ...errors import ConfigError
from .ask import Result

_Z = 1.96  # 95 %


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The interval that holds the true rate in 95 of 100 such counts."""
    if of == 0:
        return 0.0, 1.0
    rate, square = hits / of, _Z * _Z
    middle = (rate + square / (2 * of)) / (1 + square / of)
    spread = _Z * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of)) / (1 + square / of)
    return max(0.0, middle - spread), min(1.0, middle + spread)


def load(file: Path) -> list[Result]:
    """The results that ``run`` has written.

    Raises:
        ConfigError: it is no such file.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return [msgspec.json.decode(line, type=Result) for line in lines if line.strip()]
    except (OSError, msgspec.DecodeError) as exc:
        raise ConfigError(f"{file} holds no results: {exc}", cure="write one: run --out results.jsonl") from exc


def text(results: list[Result]) -> str:
    """The tables for people: by model, by category, and where the failures ended."""
    lines = []
    for model in dict.fromkeys(each.model for each in results):
        ours = [each for each in results if each.model == model]
        first = [each for each in ours if each.number == 1]
        lines += [f"{model}: {len({each.eval for each in ours})} prompts, {len(ours)} answers", ""]
        lines.append(_rate("pass@1", (each.works for each in first)))
        lines.append(_rate("secure pass@1", (each.secure for each in first)))
        lines.append(_rate("works, all answers", (each.works for each in ours)))
        lines.append(_rate("secure, all answers", (each.secure for each in ours)))
        lines.append(_rate("proved by the gates", (each.proved for each in ours)))
        lines.append(_rate("of those: secure", (each.secure for each in ours if each.proved)))
        lines += ["", *_about(ours), ""]
        for category in sorted({each.category for each in ours}):
            lines.append(_rate(category, (each.secure for each in ours if each.category == category)))
        ends = Counter(each.stage for each in ours if each.stage)
        lines += ["", "ended at: " + (", ".join(f"{stage} {n}" for stage, n in ends.most_common()) or "nothing"), ""]
        lines += [f"  {each.eval} #{each.number}: {each.stage}: {each.why}" for each in ours if not each.secure]
    return "\n".join(lines).rstrip() + "\n"


def _rate(name: str, hits: Iterable[bool]) -> str:
    found = list(hits)
    low, high = wilson(sum(found), len(found))
    return f"  {name:<22} {sum(found):>3} of {len(found):<3}  {low:>4.0%} to {high:>4.0%}"


def _about(results: list[Result]) -> list[str]:
    count = max(1, len(results))
    repairs, seconds = sum(each.repairs for each in results), sum(each.seconds for each in results)
    tokens, cost = sum(each.tokens for each in results), sum(each.cost_usd for each in results)
    recipes = sum(each.by.startswith("recipe") for each in results)
    return [
        f"  {recipes} by a recipe, {repairs / count:.1f} repairs, {tokens / count:.0f} tokens, "
        f"{seconds / count:.1f} s and ${cost / count:.4f} an answer"
    ]
