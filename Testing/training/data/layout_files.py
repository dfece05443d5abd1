"""What the tests of layouts share: the JSON files beside images, and what reading a data set is refused with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from unetseg.data.layouts.detection import read_dataset
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import HEART

SHAPE = (6, 16, 16)
VALUES = {structure.name: structure.values[0] for structure in HEART}


def write_json(path: Path, **content) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def edit_json(path: Path, **changes) -> None:
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, **{key: value for key, value in content.items() if value is not None})


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)
