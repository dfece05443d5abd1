"""A folder that a refused command must leave empty."""

import pytest

from ..command import tree


@pytest.fixture
def place(tmp_path):
    """An empty folder, and afterwards still an empty one: what a refused command must leave behind is nothing."""
    folder = tmp_path / "place"
    folder.mkdir()
    yield folder
    assert not tree(folder)
