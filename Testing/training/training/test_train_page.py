"""The first commands of docs/train.md on phantoms, as they stand there."""

import re
import shlex
from pathlib import Path

from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..command import unetseg_here

PAGE = Path(__file__).resolve().parents[3] / "docs" / "train.md"


def test_the_page_can_be_followed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)[0]
    for line in block.splitlines():
        done = unetseg_here(*shlex.split(line)[1:])
        assert done.returncode == 0, (line, done.stderr)
    assert Path("hearts.png").stat().st_size and Path("evaluated/report.html").stat().st_size
    assert len(read_card("runs/hearts/checkpoint.pt").structures) == 7
