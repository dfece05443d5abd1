"""The Python of docs/cookbook.md and docs/tutorial.md that runs in Slicer, as it stands there, one block after the other."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest
import slicer
from host.scans import add, add_scan, organs

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def console(module, widget, monkeypatch, tmp_path):
    """The names that Slicer's Python console has, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    logic = sys.modules["UNetSegmenter"].UNetSegmenterLogic()
    monkeypatch.setattr(slicer.util, "getModuleLogic", lambda name: logic if name == "UNetSegmenter" else None)
    monkeypatch.setattr(slicer.util, "loadVolume", lambda path: read("vtkMRMLScalarVolumeNode", path))
    monkeypatch.setattr(slicer.util, "loadSegmentation", lambda path: read("vtkMRMLSegmentationNode", path))
    monkeypatch.setattr(slicer.util, "saveNode", write)
    yield {"slicer": slicer, "getNode": slicer.util.getNode}
    logic.close()


def test_the_cookbook_in_slicer(console, checkpoints, tmp_path, capsys):
    write_files(tmp_path, checkpoints["other"])
    text = (DOCS / "cookbook.md").read_text(encoding="utf-8").partition("\n## Anywhere else")[0]
    blocks = BLOCK.findall(text)
    assert len(blocks) > 8
    for block in blocks:
        exec(compile(block, "docs/cookbook.md", "exec"), console)
    printed = capsys.readouterr().out
    assert "Dice" in printed and "report.html" in printed
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"one.seg.nrrd", "two.seg.nrrd"}
    assert (tmp_path / "case1_result.seg.nrrd").stat().st_size
    assert console["errors"].GetName().endswith("errors") and console["distances"].GetName().endswith("distances")
    assert console["finished"][0].outcome.complete is False


def test_the_tutorial_in_slicer(console, checkpoints, capsys):
    add_scan("UNetSegmenterSampleCT")
    add("UNetSegmenterSampleReference", organs())
    blocks = BLOCK.findall((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    assert len(blocks) == 3
    for block in blocks:
        code = block.replace("/path/to/checkpoint.pt", str(checkpoints["other"]))
        exec(compile(code, "docs/tutorial.md", "exec"), console)
    assert "liver" in capsys.readouterr().out


def storage_of(node, path):
    """The scene's own storage node for a file, which Slicer's application would choose."""
    node.AddDefaultStorageNode()
    storage = node.GetStorageNode()
    storage.SetFileName(str(Path(path).absolute()))  # else it counts from where a scene was last read or written
    return storage


def read(kind: str, path: str):
    node = slicer.mrmlScene.AddNewNodeByClass(kind, Path(path).name.partition(".")[0])
    assert storage_of(node, path).ReadData(node), path
    return node


def write(node, path: str) -> None:
    assert storage_of(node, path).WriteData(node), path


def write_files(folder: Path, checkpoint: Path) -> None:
    """The files that the cookbook names."""
    shutil.copy(checkpoint, folder / "model.pt")
    for name in ("scans", "results"):
        (folder / name).mkdir()
    scan, reference = add_scan("written"), add("written reference", organs())
    for path in ("case1.nii.gz", "scans/one.nii.gz", "scans/two.nii.gz"):
        write(scan, str(folder / path))
    write(reference, str(folder / "case1_reference.seg.nrrd"))
    for node in (scan, reference):
        slicer.mrmlScene.RemoveNode(node)
