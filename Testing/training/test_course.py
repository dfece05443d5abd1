"""The course holds what it says: its notebook runs and learns, the commands of all pages and their options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from unetseg.cli import COMMANDS
from unetseg.cli.parser import command_and_parser

ROOT = Path(__file__).parents[2]
COURSE = ROOT / "docs" / "course"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def shell_commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [
        line.split("  #")[0].strip()
        for language, block in blocks
        if language in ("", "sh")
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line)[1:] for line in lines if line.startswith("unetseg ")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page):
    for name, *arguments in shell_commands(page):
        if name == "--help":
            continue
        assert name in COMMANDS
        _, parser = command_and_parser(name)
        for argument in parser.with_current_spellings(arguments):
            if argument.startswith("--") and " " not in argument:
                assert argument.partition("=")[0] in parser.options, argument


@pytest.mark.slow
def test_notebook_runs_and_learns(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(COURSE / "unet.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    printed = "".join(part.get("text", "") for cell in notebook.cells for part in cell.get("outputs", ()))
    mean = float(re.search(r"^mean\s+([\d.]+)$", printed, re.MULTILINE)[1])
    print(f"mean Dice of the unseen heart: {mean}")
    assert mean > 0.4
