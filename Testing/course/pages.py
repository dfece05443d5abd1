"""The course's pages as data: their commands, their Python, their exercises and the folded answers."""

from __future__ import annotations

import csv
import os
import re
import shlex
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

from ..training.command import unetseg_here

ROOT = Path(__file__).resolve().parents[2]
COURSE = ROOT / "docs" / "course"
PAGES = sorted(COURSE.glob("[0-9]*.md"), key=lambda page: int(page.name.partition("-")[0]))
REAL_DATA = "## The same on real data"
_BLOCK = re.compile(r"^ *```(\w+)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def page(number: int) -> Path:
    """The page with that number."""
    return next(one for one in PAGES if one.name.startswith(f"{number}-"))


def text_of(number: int) -> str:
    """The page's text without the section on real data, which nobody can run here."""
    return page(number).read_text(encoding="utf-8").partition(REAL_DATA)[0]


def answers(number: int) -> list[str]:
    """The folded answers in their order, each as one line; exercise 1 has index 0."""
    found = re.findall(r"<details><summary>Answer</summary>(.*?)</details>", text_of(number), re.DOTALL)
    return [" ".join(answer.split()) for answer in found]


def blocks(number: int, language: str) -> list[str]:
    """The code of a page in one language, block by block."""
    return [textwrap.dedent(code) for kind, code in _BLOCK.findall(text_of(number)) if kind == language]


def commands(number: int) -> list[list[str]]:
    """The page's `unetseg` commands in their order, as lists of arguments."""
    lines = "".join(blocks(number, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.strip().startswith("unetseg ")]


def with_options(command: list[str], values: dict[str, str]) -> list[str]:
    """The command with other values of those options that it has."""
    return [values.get(before, word) for before, word in zip(["", *command], command, strict=False)]


def metrics(folder: Path) -> dict[int, dict[str, float]]:
    """The rows of a run's metrics.csv by their step."""
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return {int(row["step"]): row for row in rows}


def run(arguments: list[str], folder: Path) -> str:
    """What a command prints in a folder; it has to end well."""
    with inside(folder):
        result = unetseg_here(*arguments)
    assert result.returncode == 0, (arguments, result.stderr)
    return result.stdout


def run_python(code: str, folder: Path, names: dict | None = None) -> str:
    """What a block of Python prints in a folder; `names` keeps its variables for the next block."""
    printed = StringIO()
    with inside(folder), redirect_stdout(printed):
        exec(compile(code, "page", "exec"), {} if names is None else names)
    return printed.getvalue()


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """The folder as working directory."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def cells(printed: str, first: str) -> list[str]:
    """The words of the first printed row that begins with `first`, after it."""
    row = next(line for line in printed.splitlines() if line.strip().startswith(first))
    return row.strip().removeprefix(first).split()
