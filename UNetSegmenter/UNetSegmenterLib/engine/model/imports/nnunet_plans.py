"""Plans and dataset description of nnU-Net v2 as the entries of a card; what can't be carried over is refused by name.

Read are plans of all versions of nnU-Net v2: those with `architecture`, and the older ones with `UNet_class_name`,
`conv_kernel_sizes` and `pool_op_kernel_sizes`; configurations may inherit from each other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from ...errors import InputError
from ...io.slicing import AXES
from ...labels.structures import known_structure

MOST_CLASSES = 255
CT_NAMES = re.compile(r"(?i)(?<![a-z])(ct|cta|cect|ncct|computed tomography)(?![a-z])")
NORMALISATIONS = ("CTNormalization", "ZScoreNormalization", "RescaleTo01Normalization", "NoNormalization")
READERS = ("SimpleITKIO", "NibabelIO", "SimpleITKIOWithReorient", "NibabelIOWithReorient")
RESAMPLING, NO_RESAMPLING = "resample_data_or_seg_to_shape", "no_resampling_hack"
_AXIS_OF = {"S": "axial", "I": "axial", "P": "coronal", "A": "coronal", "L": "sagittal", "R": "sagittal"}
_ARCHITECTURES = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
_LEFT_OUT = ("n_stages", "conv_op", "dropout_op", "dropout_op_kwargs", "deep_supervision")
_KEPT = (
    *("features_per_stage", "kernel_sizes", "strides", "n_conv_per_stage_decoder", "conv_bias"),
    *(
        "norm_op",
        "norm_op_kwargs",
        "nonlin",
        "nonlin_kwargs",
        "nonlin_first",
        "block",
        "bottleneck_channels",
        "stem_channels",
    ),
)


def configuration_of(plans: Any, name: str) -> dict[str, Any]:
    """A configuration of the plans with what it inherits.

    Raises:
        InputError: it is missing or not 2d, or what it inherits from is.
    """
    if not isinstance(plans, Mapping) or not isinstance(plans.get("configurations"), Mapping):
        raise InputError(
            'plans.json has no "configurations"; plans of nnU-Net v2 are expected (v1 models can\'t be read: train them again).'
        )
    chain: list[str] = []
    wanted: Any = name
    while wanted is not None:
        part = plans["configurations"].get(wanted) if isinstance(wanted, str) else None
        if not isinstance(part, Mapping) or wanted in chain:
            known = ", ".join(map(str, plans["configurations"]))
            raise InputError(f'plans.json has no usable configuration "{wanted}" (known: {known}).')
        chain.append(wanted)
        wanted = part.get("inherits_from")
    merged: dict[str, Any] = {}
    for part_name in reversed(chain):
        merged |= plans["configurations"][part_name]
    if merged.get("previous_stage"):
        raise InputError(
            f'The configuration "{name}" is the second stage of a cascade, which needs the labels of '
            f'"{merged["previous_stage"]}"; a 2d configuration is expected.'
        )
    patch = merged.get("patch_size")
    if not isinstance(patch, list) or len(patch) != 2:
        raise InputError(
            f'The configuration "{name}" has patches of {len(patch) if isinstance(patch, list) else "unknown"} dimensions '
            f"({patch}); UNetSegmenter segments slice by slice, so only 2d configurations can be imported."
        )
    return merged


def network_parameters(configuration: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """Architecture and parameters of a 2d configuration, as a card has them.

    Args:
        configuration: see `configuration_of`.
        name: of the configuration, for messages.
    """
    described = configuration.get("architecture")
    if not isinstance(described, Mapping):
        return _network_of_old_plans(configuration, name)
    class_name = str(described.get("network_class_name", "")).rpartition(".")[2]
    arguments = described.get("arch_kwargs")
    if class_name not in _ARCHITECTURES or not isinstance(arguments, Mapping):
        raise _unknown_architecture(name, class_name)
    for entry in arguments:
        if entry not in (*_KEPT, *_LEFT_OUT, _ARCHITECTURES[class_name]):
            raise InputError(
                f'plans.json gives the network "{class_name}" a parameter "{entry}", which is not known here.'
            )
    convolution = str(arguments.get("conv_op", "Conv2d")).rpartition(".")[2]
    if convolution != "Conv2d":
        raise InputError(
            f'The network of the configuration "{name}" has {convolution}; only 2D networks can be imported.'
        )
    parameters = {
        entry: arguments[entry] for entry in (*_KEPT, _ARCHITECTURES[class_name]) if arguments.get(entry) is not None
    }
    for entry in ("norm_op", "nonlin", "block"):
        if entry in parameters:
            parameters[entry] = str(parameters[entry]).rpartition(".")[2]
    stages = arguments.get("n_stages")
    if isinstance(parameters.get("features_per_stage"), int) and type(stages) is int and 0 < stages <= 64:
        parameters["features_per_stage"] = [parameters["features_per_stage"]] * stages
    return class_name, parameters


def _network_of_old_plans(configuration: Mapping[str, Any], name: str) -> tuple[str, dict[str, Any]]:
    """The network of plans before nnU-Net 2.4, which name its class and let the rest follow."""
    class_name = str(configuration.get("UNet_class_name", ""))
    if class_name not in _ARCHITECTURES:
        raise _unknown_architecture(name, class_name)
    try:
        encoder = list(configuration["n_conv_per_stage_encoder"])
        base, most = int(configuration["UNet_base_num_features"]), int(configuration["unet_max_num_features"])
        return class_name, {
            "features_per_stage": [min(base * 2**stage, most) for stage in range(min(len(encoder), 64))],
            "kernel_sizes": configuration["conv_kernel_sizes"],
            "strides": configuration["pool_op_kernel_sizes"],
            _ARCHITECTURES[class_name]: encoder,
            "n_conv_per_stage_decoder": configuration["n_conv_per_stage_decoder"],
            "conv_bias": True,
            "norm_op": "InstanceNorm2d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "nonlin": "LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        }
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'plans.json describes the network of "{name}" incompletely ({error}).') from error


def _unknown_architecture(name: str, class_name: str) -> InputError:
    return InputError(
        f'The configuration "{name}" has the network "{class_name or "unknown"}"; {" and ".join(_ARCHITECTURES)} can be '
        "imported as they are, any other through ONNX (see docs/import.md)."
    )


def structures_of(dataset: Any) -> list[dict[str, Any]]:
    """The structures of a card from the labels of dataset.json; raises InputError for regions."""
    labels = dataset.get("labels") if isinstance(dataset, Mapping) else None
    if not isinstance(labels, Mapping):
        raise InputError("dataset.json has no labels; choose the model folder with the file that nnU-Net copied there.")
    values: dict[int, str] = {}
    for name, given in labels.items():
        value = given[0] if isinstance(given, list) and len(given) == 1 else given
        if isinstance(value, list):
            raise InputError(
                f'dataset.json makes the region "{name}" of the labels {value}; networks of regions, which may overlap, '
                "can't be imported."
            )
        if not re.fullmatch(r"[0-9]{1,5}", str(value)) or int(value) in values:
            raise InputError(
                f'dataset.json gives "{name}" the label {value!r}; each label needs a whole number of its own.'
            )
        if name != "ignore":
            values[int(value)] = str(name)
    if len(values) > MOST_CLASSES:
        raise InputError(
            f"dataset.json has {len(values)} labels with the background; a model with at most {MOST_CLASSES} can be imported, as "
            "labels are bytes."
        )
    if sorted(values) != list(range(len(values))) or len(values) < 2:
        raise InputError(
            f"dataset.json has the labels {sorted(values)[:12]}; whole numbers from 0 (background) on without a gap "
            "are expected."
        )
    return [
        known_structure(values[index].strip()[:100] or f"structure {index}", index, index).to_json()
        for index in range(1, len(values))
    ]


def check_channels(dataset: Any) -> None:
    """Raise InputError unless the network reads CT and nothing else."""
    channels = dataset.get("channel_names", dataset.get("modality")) if isinstance(dataset, Mapping) else None
    if not isinstance(channels, Mapping) or not channels:
        raise InputError(
            "dataset.json has no channel_names; choose the model folder with the file that nnU-Net copied there."
        )
    names = [str(name) for name in channels.values()]
    if len(names) > 1:
        raise InputError(
            f"The network reads {len(names)} channels ({', '.join(names)[:200]}); UNetSegmenter gives it one CT, so only "
            "networks of one channel can be imported."
        )
    if not CT_NAMES.search(names[0]):
        raise InputError(
            f'The network was trained on "{names[0][:100]}"; only networks for CT can be imported. If it is CT, call the channel '
            '"CT" in the model folder\'s dataset.json.'
        )


def preprocessing_of(
    plans: Mapping[str, Any], configuration: Mapping[str, Any], orientation: str | None
) -> dict[str, Any]:
    """The preprocessing of a card, without its mirroring.

    Args:
        plans: content of plans.json.
        configuration: see `configuration_of`.
        orientation: three letters such as "LPS", where the voxels of the training scans follow each other to along the
            first, second and third axis of their files; None takes every scan as its file stores it, as nnU-Net does.
    """
    reader = plans.get("image_reader_writer", READERS[0])
    if reader not in READERS:
        raise InputError(f'The scans were read by "{reader}"; {", ".join(READERS)} are known.')
    if configuration.get("preprocessor_name", "DefaultPreprocessor") != "DefaultPreprocessor":
        raise InputError(
            f'The scans were prepared by "{configuration["preprocessor_name"]}"; nnU-Net\'s DefaultPreprocessor is expected.'
        )
    patch, spacing = configuration["patch_size"], configuration.get("spacing")
    if not all(type(size) is int for size in patch):
        raise InputError(f"plans.json has the patch size {patch}; two whole numbers are expected.")
    if not (isinstance(spacing, list) and len(spacing) == 2 and all(map(_is_number, spacing))):
        raise InputError(f"plans.json has the spacing {spacing}; two numbers in mm are expected of a 2d configuration.")
    if "WithReorient" in reader:
        orientation = "RAS"
    return {
        "spacing_mm": [float(size) for size in spacing] if _is_resampled(configuration) else None,
        "normalisation": _normalisation(plans, configuration),
        "input_slices": 1,
        "slice_distance_mm": None,
        "size_multiple": 1,
        **_slicing(plans, orientation),
        "interpolation": "cubic",
        "crop_to_nonzero": True,
        "patch_size": list(patch),
        "patch_step": 0.5,
        "padding": "centre",
        "pad_value": 0.0,
        "intensities": "HU",
    }


def _slicing(plans: Mapping[str, Any], orientation: str | None) -> dict[str, Any]:
    """Which array axes are slices, rows and columns; array axes are those of the file in reverse."""
    transposed = plans.get("transpose_forward", [0, 1, 2])
    if not isinstance(transposed, list) or transposed not in (
        [a, b, 3 - a - b] for a in range(3) for b in range(3) if a != b
    ):
        raise InputError(f"plans.json has transpose_forward {transposed}; 0, 1 and 2 in some order are expected.")
    if orientation is None:
        return {"axis": "stored", "stored_axes": transposed}
    letters = orientation.upper()
    if sorted(_AXIS_OF.get(letter, "") for letter in letters) != sorted(AXES):
        raise InputError(
            f'The orientation "{orientation}" is not known; three letters such as "LPS" are expected, one each of L or R, P or '
            "A, S or I: where voxels follow each other to along the axes of a training scan's file (unetseg info shows it)."
        )
    slices, rows, columns = (letters[2 - axis] for axis in transposed)
    return {"axis": _AXIS_OF[slices], "orientation": rows + columns}


def _is_resampled(configuration: Mapping[str, Any]) -> bool:
    """Whether scans and logits are resampled; raises InputError for another way than nnU-Net's default."""
    names = {kind: configuration.get(f"resampling_fn_{kind}", RESAMPLING) for kind in ("data", "probabilities")}
    if list(names.values()) == [NO_RESAMPLING, NO_RESAMPLING]:
        return False
    for kind, order in (("data", 3), ("probabilities", 1)):
        if names[kind] != RESAMPLING:
            raise InputError(
                f'The plans resample {kind} by "{names[kind]}"; only nnU-Net\'s default, {RESAMPLING}, is known.'
            )
        arguments = configuration.get(f"resampling_fn_{kind}_kwargs") or {}
        expected = {"is_seg": False, "order": order, "order_z": 0, "force_separate_z": None}
        for entry, value in arguments.items() if isinstance(arguments, Mapping) else [("arguments", arguments)]:
            if entry not in expected or value != expected[entry]:
                raise InputError(
                    f"The plans resample {kind} with {entry} = {value}; only nnU-Net's default, {expected.get(entry)}, is known."
                )
    return True


def _normalisation(plans: Mapping[str, Any], configuration: Mapping[str, Any]) -> dict[str, Any]:
    schemes = configuration.get("normalization_schemes")
    scheme = schemes[0] if isinstance(schemes, list) and len(schemes) == 1 else schemes
    if scheme not in NORMALISATIONS:
        raise InputError(f'The plans normalise by "{scheme}"; one of {", ".join(NORMALISATIONS)} is expected.')
    if scheme == "RescaleTo01Normalization":
        return {"name": "rescale", "range": [0.0, 1.0], "over": "scan"}
    if scheme == "NoNormalization":
        return {"name": "none"}
    if scheme == "ZScoreNormalization":
        masks = configuration.get("use_mask_for_norm")
        if masks not in ([False], None):
            raise InputError(
                "The plans normalise within a mask of the voxels that are not 0 (use_mask_for_norm), which CT does not need; "
                "such a network can't be imported."
            )
        return {"name": "z-score", "over": "scan"}
    found = plans.get(
        "foreground_intensity_properties_per_channel", plans.get("foreground_intensity_properties_by_modality")
    )
    measured = found.get("0") if isinstance(found, Mapping) else None
    names = ("percentile_00_5", "percentile_99_5", "mean", "std")
    values: list[Any] = [measured.get(name) for name in names] if isinstance(measured, Mapping) else [None]
    if not all(map(_is_number, values)):
        raise InputError(
            "plans.json lacks the intensities of the training data (foreground_intensity_properties_per_channel: "
            f"{', '.join(names)}), which CTNormalization needs."
        )
    low, high, mean, sd = (float(value) for value in values)
    return {"name": "ct", "clip": [low, high], "mean": mean, "sd": max(sd, 1e-8)}


def _is_number(value: Any) -> bool:
    """Whether a value of JSON is a number that can be calculated with."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max
