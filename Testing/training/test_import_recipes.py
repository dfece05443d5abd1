"""The recipes of docs/import.md, each followed word by word: its Python, its command, a card, and a file with the same logits."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from ..engine.onnx_files import write_onnx_file
from .card_answers import fill_in
from .command import unetseg_here

PAGE = Path(__file__).resolve().parents[2] / "docs" / "import.md"
SECTION = re.compile(r"^#+ (.+)$", re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Recipe(NamedTuple):
    """A section of the page: its Python, and the options of its command."""

    title: str
    python: str
    options: list[str]

    @property
    def module(self) -> str:
        """Name of the module that the command looks for."""
        return self.options[self.options.index("--network") + 1].partition(":")[0]


def recipes() -> list[Recipe]:
    found = []
    _, *parts = SECTION.split(PAGE.read_text(encoding="utf-8"))
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        blocks = dict(BLOCK.findall(text))
        if "python" in blocks:
            found.append(Recipe(title, blocks["python"], shlex.split(blocks["sh"])[1:]))
    return found


def test_the_page_has_the_recipes():
    assert [recipe.title for recipe in recipes()] == [
        "A plain PyTorch U-Net",
        "MONAI UNet",
        "MONAI BasicUNet",
        "segmentation_models_pytorch Unet",
    ]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    before, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(tmp_path))
    yield tmp_path
    sys.path[:] = before
    for name in [name for name in sys.modules if name not in modules and hasattr(sys.modules[name], "__file__")]:
        if str(sys.modules[name].__file__).startswith(str(tmp_path)):
            del sys.modules[name]


def require_torchvision() -> None:
    """smp needs torchvision's Python alone; where its compiled part is for another build of torch, it is left out."""
    try:
        importlib.import_module("torchvision")
    except ImportError as error:
        pytest.skip(f"torchvision is not installed ({error})")
    except RuntimeError:
        sys.modules["torchvision._meta_registrations"] = ModuleType("torchvision._meta_registrations")
        importlib.import_module("torchvision")


def test_the_short_card_of_the_page_is_enough(folder):
    write_onnx_file(Path("fetal.onnx"), classes=3)
    (card,) = (block for language, block in BLOCK.findall(PAGE.read_text(encoding="utf-8")) if language == "yaml")
    Path("card.yaml").write_text(card, encoding="utf-8")
    result = unetseg_here("import", "fetal.onnx", "--card", "card.yaml", "--output", "fetal-brain.onnx")
    assert result.returncode == 0, result.stderr
    read = load_checkpoint("fetal-brain.onnx").card
    assert [(one.name, one.values) for one in read.structures] == [("brain", (1,)), ("cerebellum", (7,))]


@pytest.mark.parametrize("recipe", recipes(), ids=lambda recipe: recipe.module)
def test_recipe(recipe, folder):
    if "segmentation_models_pytorch" in recipe.python:
        require_torchvision()
        pytest.importorskip("segmentation_models_pytorch")
    Path(f"{recipe.module}.py").write_text(recipe.python, encoding="utf-8")
    network = trained(recipe)
    torch.save(network.state_dict(), "weights.pth")
    result = unetseg_here(*recipe.options)
    assert result.returncode == 0, result.stderr
    assert "100.0000 % of" in result.stdout
    fill_in(channels="repeated", spacing_mm="as it is", normalisation="{name: z-score, over: slice}")
    result = unetseg_here(*recipe.options, "--card", "card.yaml", "--output", "imported.onnx")
    assert result.returncode == 0, result.stderr
    checkpoint = load_checkpoint("imported.onnx")
    assert [one.name for one in checkpoint.card.structures] == ["liver", "fat"]
    compare(checkpoint, network)


def trained(recipe: Recipe) -> torch.nn.Module:
    """The recipe's network with weights that are not those it is made with, as after a training."""
    name = recipe.options[recipe.options.index("--network") + 1].partition(":")[2]
    torch.manual_seed(1)
    network = getattr(importlib.import_module(recipe.module), name)()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        network(torch.randn(4, channels_of(network), 64, 64))  # the running statistics of its batch normalisation
    return network.eval()


def channels_of(network: torch.nn.Module) -> int:
    return next(one.in_channels for one in network.modules() if isinstance(one, torch.nn.Conv2d))


def compare(checkpoint, network: torch.nn.Module) -> None:
    multiple = checkpoint.card.preprocessing.size_multiple
    slices = torch.randn(2, checkpoint.card.network.input_slices, 5 * multiple, 3 * multiple)
    if min(slices.shape[2:]) < 32:
        slices = torch.randn(2, slices.shape[1], 48, 80)
    with torch.inference_mode():
        expected = network(slices.expand(-1, channels_of(network), -1, -1))
        found = checkpoint.network()(slices)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
