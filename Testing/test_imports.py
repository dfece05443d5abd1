"""Imports run one way, and what Slicer loads at start-up costs nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIB = ROOT / "UNetSegmenter" / "UNetSegmenterLib"


def test_layers_hold():
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(ROOT / "pyproject.toml")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "module",
    [
        "io.volume",
        "labels.structures",
        "labels.segmentation",
        "evaluation.measures",
        "evaluation.comparison",
        "model.card",
        "model.checkpoint",
        "model.preprocessing",
        "worker.service",
    ],
)
def test_engine_imports_without_torch(module):
    code = f"import sys, UNetSegmenterLib.engine.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", ["unetseg.training.training_loop", "UNetSegmenterLib.engine.model.prediction"])
def test_a_server_trains_and_predicts_without_simpleitk(module):
    """A preprocessed data set needs no reader of images; MONAI's losses are imported where one of them is chosen."""
    missing = ("SimpleITK", "monai", "lightning_fabric", "scipy", "matplotlib", "isal", "platformdirs")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); import {module}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stderr


def test_wheel_has_no_generic_names():
    import tomllib

    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert {name.split(".")[0] for name in packages} == {"UNetSegmenterLib", "unetseg"}
    folders = {
        ".".join(path.parent.relative_to(base.parent).parts)
        for base in (LIB, ROOT / "training" / "unetseg")
        for path in base.rglob("__init__.py")
    }
    in_slicer_only = {name for name in folders if name.startswith("UNetSegmenterLib.panel")}
    assert folders - set(packages) <= in_slicer_only, "a package that the wheel would leave out"
