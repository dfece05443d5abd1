"""The summary of all proofs: a page to read, and the same as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .proof import Proof, Result

SKIPPED = "skipped, the time was short"


def write_summary(
    folder: Path,
    facts: Mapping[str, Any],
    proofs: Sequence[Proof],
    results: Mapping[str, Result],
    skipped: Sequence[str],
) -> str:
    """Write summary.md and summary.json, and return the text of the first."""
    lines = ["# Proofs on a device", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += ["| proof | outcome | seconds |", "|---|---|---|"]
    for proof in proofs:
        result = results.get(proof.name)
        outcome = SKIPPED if result is None else _outcome(result)
        lines.append(f"| {proof.title} | {outcome} | {f'{result.seconds:.0f}' if result else '-'} |")
    for proof in proofs:
        if result := results.get(proof.name):
            lines += ["", f"## {proof.title}", "", *_section(result)]
    text = "\n".join(lines) + "\n"
    (folder / "summary.md").write_text(text, encoding="utf-8")
    content = {
        "facts": dict(facts),
        "skipped": list(skipped),
        "ok": all(result.ok for result in results.values()),
        "proofs": {name: {**asdict(result), "ok": result.ok} for name, result in results.items()},
    }
    (folder / "summary.json").write_text(json.dumps(content, indent=1, default=str), encoding="utf-8")
    return text


def _outcome(result: Result) -> str:
    if result.failure:
        return f"**failed**: {result.failure.strip().splitlines()[-1][:120]}"
    wrong = [goal for goal in result.goals if goal.required and not goal.reached]
    missed = [goal for goal in result.goals if not goal.required and not goal.reached]
    if wrong:
        return f"**failed**: {wrong[0].text}: {wrong[0].found[:120]}"
    return "holds" + (f"; {len(missed)} goal(s) missed" if missed else "")


def _section(result: Result) -> list[str]:
    lines = [f"- {'reached' if goal.reached else 'MISSED'}: {goal.text}: {goal.found}" for goal in result.goals]
    plain = {name: value for name, value in result.figures.items() if name != "table"}
    if plain:
        lines += ["", "| figure | value |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {_text(value)} |" for name, value in plain.items()]
    if rows := result.figures.get("table"):
        names = list(dict.fromkeys(name for row in rows for name in row))
        lines += ["", f"| {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * len(names) + "|"]
        lines += [f"| {' | '.join(_text(row.get(name)) for name in names)} |" for row in rows]
    for note in [*result.notes, result.failure]:
        if note:
            lines += ["", "```", note.strip(), "```"]
    return lines


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
