"""A plan: the choices of a run as data, made from the fingerprint, for a user to read, edit and pass back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.plain_data import from_mapping

from ..data.preprocessed_dataset import PreprocessedDataset
from ..yaml_files import read_yaml
from .configuration import TrainingConfig, stored_values, with_present_names

LARGEST_SLICE = 256  # pixels across a slice at the network's spacing
VISITS_PER_SLICE = 40  # how often a slice is sampled in a run, as in the measured configuration
BYTES_PER_PIXEL = 90  # GPU memory of a training step per pixel of a patch and channel of the first level
_NEEDED = ("spacing_mm", "window_hu", "slice_distance_mm")


@dataclass(frozen=True)
class Plan:
    """What `prepare` and `train` execute.

    Attributes:
        spacing_mm: in-plane pixel size at the network's grid.
        window_hu: HU range that the network sees.
        slice_distance_mm: median of the data set; how far apart neighbouring input slices are.
        config: the training configuration, which files keep as "recipe".
        reasons: one sentence for each choice that the data decided.
        slice_size: rows and columns that slices are cut or padded to about the body; (0, 0) takes them whole.
        made_from: names of the cases that were read for the plan, where that is known.
    """

    spacing_mm: float
    window_hu: tuple[float, float]
    slice_distance_mm: float
    config: TrainingConfig
    reasons: dict[str, str] = field(default_factory=dict)
    slice_size: tuple[int, int] = (0, 0)
    made_from: tuple[str, ...] = ()

    def chosen(
        self,
        spacing_mm: float | None = None,
        window_hu: tuple[float, float] | None = None,
        slice_size: tuple[int, int] | None = None,
    ) -> Plan:
        """The plan with other preprocessing (None keeps the plan's); the training configuration stays the same."""
        given = {"spacing_mm": spacing_mm, "window_hu": window_hu, "slice_size": slice_size}
        new = {name: value for name, value in given.items() if value is not None and value != getattr(self, name)}
        return replace(self, **new, reasons=self.reasons | dict.fromkeys(new, "chosen"))  # type: ignore[arg-type]

    def to_json(self) -> dict[str, Any]:
        """What pack.json and the card keep; the training configuration is stored as "recipe"."""
        values = asdict(self) | {"config": stored_values(self.config)}
        return {"recipe" if name == "config" else name: value for name, value in values.items()}


def make_plan(
    fingerprint: Mapping[str, Any],
    gpu_gb: float = 0.0,
    spacing_mm: float | None = None,
    window_hu: tuple[float, float] | None = None,
    slice_size: tuple[int, int] | None = None,
) -> Plan:
    """Plan for a data set; what the data do not decide is the default training configuration.

    Args:
        fingerprint: facts of the data set.
        gpu_gb: memory of the GPU to train on, 0 for a CPU.
        spacing_mm: in-plane pixel size to take instead of a planned one.
        window_hu: HU range to take instead of a planned one.
        slice_size: size of the slices to take instead of whole slices.
    """
    distance, pixel, _ = fingerprint["median_spacing_mm"]
    rows, columns = fingerprint["median_size"][1:]
    across = max(rows, columns) * pixel
    low, _, high = fingerprint["structure_hu_percentiles_0.5_50_99.5"]
    margin = 0.1 * (high - low)
    reasons = {
        "spacing_mm": f"median pixel {pixel:g} mm, and at most {LARGEST_SLICE} pixels across {across:.0f} mm",
        "window_hu": f"0.5 and 99.5 % of HU inside structures are {low:.0f} and {high:.0f}; a tenth wider",
        "slice_distance_mm": "median of the data set",
        "slice_size": "whole slices",
    }
    plan = Plan(
        round(max(pixel, across / LARGEST_SLICE), 3),
        (math.floor((low - margin) / 10) * 10.0, math.ceil((high + margin) / 10) * 10.0),
        round(distance, 3),
        TrainingConfig(),
        reasons,
        made_from=tuple(part["name"] for part in fingerprint.get("by_case", ())),
    ).chosen(spacing_mm, window_hu, slice_size)
    if not plan.window_hu[0] < plan.window_hu[1]:
        raise InputError(
            f"All voxels of the structures have {low:g} HU, or there are none, so no window can be planned; look at the data set "
            "with unetseg info, and correct its labels or give prepare a --window."
        )
    scale = pixel / plan.spacing_mm
    size = plan.slice_size if all(plan.slice_size) else (rows * scale, columns * scale)
    config, why = _plan_config(size, distance, fingerprint["slices"], gpu_gb)
    return replace(plan, config=config, reasons=plan.reasons | why)


def _plan_config(
    size: tuple[float, float], distance_mm: float, slices: int, gpu_gb: float
) -> tuple[TrainingConfig, dict[str, str]]:
    """The default configuration adapted to slices of `size` pixels, `distance_mm` apart, with a reason for each change."""
    config = TrainingConfig()
    depth = max(2, min(5, int(math.log2(0.7 * min(size) / 8)))) if min(size) > 12 else 2
    patch = _multiple(0.7 * size[0], 2**depth), _multiple(0.9 * size[1], 2**depth)
    width, batch = (32, 32) if gpu_gb else (config.base_width, config.batch_size)
    while gpu_gb and batch > 4 and step_memory_gb(patch, width, batch) > 0.8 * gpu_gb:
        batch //= 2
    steps = max(300, min(20_000, round(VISITS_PER_SLICE * slices / batch / 100) * 100))
    neighbours = 3 if distance_mm <= 5 else 1
    reasons = {
        "input_slices": f"slices are {distance_mm:g} mm apart"
        + (": near enough to help each other" if neighbours > 1 else ""),
        "depth": f"halved {depth} times, the shorter side of the patch is {min(patch) // 2**depth} pixels",
        "patch": f"0.7 x 0.9 of a slice of {size[0]:.0f} x {size[1]:.0f} pixels: a body is wider than deep",
        "base_width": f"for a GPU of {gpu_gb:.0f} GB" if gpu_gb else "measured on a CPU",
        "batch_size": f"about {step_memory_gb(patch, width, batch):.1f} GB per step" if gpu_gb else "measured on a CPU",
        "steps": f"each of {slices} slices is sampled about {steps * batch / slices:.0f} times",
        "deep_supervision": "raised the Dice of unseen patients more than any other choice (docs/ablation.md)",
    }
    changes = {
        "steps": steps,
        "batch_size": batch,
        "patch": patch,
        "input_slices": neighbours,
        "deep_supervision": True,
    }
    return replace(config, **changes, base_width=width, depth=depth), reasons  # type: ignore[arg-type]


def gpu_memory_gb() -> float:
    """Memory of this machine's GPU, 0 without one."""
    import torch

    return torch.cuda.get_device_properties(0).total_memory / 2**30 if torch.cuda.is_available() else 0.0


def _multiple(value: float, of: int) -> int:
    return max(2 * of, round(value / of) * of)


def step_memory_gb(patch: tuple[int, ...], width: int, batch: int) -> float:
    """Memory of a training step on a GPU, in GB."""
    return BYTES_PER_PIXEL * math.prod(patch) * width * batch / 2**30


def write_plan(plan: Plan, path: Path | str, title: str = "") -> None:
    """Write YAML with one line per choice and its reason."""
    parts = [("preprocessing", _preprocessing(plan)), ("recipe", stored_values(plan.config))]
    lines = [f"# Plan for {title or 'a data set'}. Edit what you know better; prepare --plan and train execute it."]
    for name, values in parts:
        lines.append(f"{name}:")
        lines += _yaml_lines(values, plan.reasons, "  ")
    if plan.made_from:
        lines += ["made_from:  # the cases that were read; test cases should not be among them"]
        lines += [f"  - {_scalar(name)}" for name in plan.made_from]
    text = "\n".join(lines) + "\n"
    write_text(path, text)


def check_plan(plan: Plan, dataset: PreprocessedDataset, path: Path | str) -> None:
    """Check that a data set was preprocessed with the plan's spacing, window, slice distance and slice size.

    Raises:
        InputError: one of them differs; `path` names the plan.
    """
    stored = dataset.preprocessing.to_training_json()
    stored = {name: stored[name] for name in _NEEDED}
    if all(plan.slice_size):
        stored["slice_size"] = dataset.images.shape[1:]
    for name, found in stored.items():
        if (wanted := getattr(plan, name)) != found:
            raise InputError(
                f"{path} has {name} {wanted}, but the data set was prepared with {found}; prepare it again with --plan, or "
                "correct the plan."
            )


def _preprocessing(plan: Plan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in (*_NEEDED, "slice_size")}


def _yaml_lines(values: Mapping[str, Any], reasons: Mapping[str, str], indent: str) -> list[str]:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_yaml_lines(value, {}, indent + "  ")]
            continue
        shown = f"[{', '.join(f'{part:g}' for part in value)}]" if isinstance(value, tuple) else _scalar(value)
        reason = f"  # {reasons[key]}" if key in reasons else ""
        lines.append(f"{indent}{key}: {shown}{reason}")
    return lines


def _scalar(value: Any) -> str:
    return json.dumps(value)


@dataclass(frozen=True)
class _PreprocessingChoices:
    spacing_mm: float
    window_hu: tuple[float, float]
    slice_distance_mm: float
    slice_size: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class _PlanFile:
    """What a plan's file may hold, under the names that it has there."""

    preprocessing: _PreprocessingChoices
    recipe: TrainingConfig
    made_from: tuple[str, ...] = ()


def read_plan(path: Path | str) -> Plan:
    """Plan of a YAML (or JSON) file.

    Raises:
        InputError: the file can't be read, or has an unknown, missing or invalid entry.
    """
    content = read_yaml(Path(path))
    if isinstance(content, dict):
        content["recipe"] = with_present_names(TrainingConfig, content.get("recipe"))
        made_from = content.get("made_from")
        if isinstance(made_from, list):
            content["made_from"] = [str(name) for name in made_from]
        content = {name: value for name, value in content.items() if value is not None}
    file = from_mapping(_PlanFile, content, f"{path}: plan")
    return Plan(**vars(file.preprocessing), config=file.recipe, made_from=file.made_from)
