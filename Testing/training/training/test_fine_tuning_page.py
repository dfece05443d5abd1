"""The commands of docs/fine-tuning.md on phantoms, as they stand there."""

import json
import re
import shlex
from pathlib import Path

from unetseg.data.seen_cases import seen_cases
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..command import refused, unetseg_here

PAGE = Path(__file__).resolve().parents[3] / "docs" / "fine-tuning.md"


def test_the_page_can_be_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    commands = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines() if line]
    assert [command[1] for command in commands].count("train") == 2
    for command in commands:
        done = unetseg_here(*command[1:])
        assert done.returncode == 0, (command, done.stderr)
    assert "paired by case" in done.stdout
    summary = json.loads(Path("evaluated/summary.json").read_text())
    assert summary["cases"] == 1
    card = read_card("runs/own/checkpoint.pt")
    assert {one.generation for one in seen_cases(card)} == {0, 1}  # its own cases, and those of the first network
    other = [*commands[-2][1:], "--depth", "3"]
    refused(unetseg_here(*other[:2], "--output", "runs/other", *other[4:]), "depth 2, not 3")
