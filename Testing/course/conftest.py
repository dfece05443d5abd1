"""The hearts of the course, made as its first page makes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .pages import commands, run


@pytest.fixture(scope="session")
def student(tmp_path_factory) -> Path:
    """The folder of a student after the first command: hearts/."""
    folder = tmp_path_factory.mktemp("student")
    run(commands(1)[0], folder)
    return folder
