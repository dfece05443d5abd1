"""Trained model folders of nnU-Net as its trainer writes them, with untrained weights, for tests."""

import copy
import json
import zipfile
from collections import OrderedDict

import numpy as np
import torch
from UNetSegmenterLib.engine.model.nnunet_networks import PlainConvUNet

FINAL = "fold_{}/checkpoint_final.pth"
PARAMETERS = {
    "features_per_stage": [4, 6],
    "kernel_sizes": [[3, 3], [3, 3]],
    "strides": [[1, 1], [2, 2]],
    "n_conv_per_stage": [1, 2],
    "n_conv_per_stage_decoder": [1],
    "conv_bias": True,
    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    "nonlin": "torch.nn.LeakyReLU",
    "nonlin_kwargs": {"inplace": True},
}
RESAMPLING = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
CONFIGURATION = {
    "preprocessor_name": "DefaultPreprocessor",
    "patch_size": [16, 24],
    "spacing": [1.5, 2.0],
    "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": RESAMPLING | {"order": 3},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": RESAMPLING,
    "architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {"n_stages": 2, "conv_op": "torch.nn.modules.conv.Conv2d", "dropout_op": None, **PARAMETERS},
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    },
}
INTENSITIES = {"mean": 80.0, "std": 60.0, "percentile_00_5": -100.0, "percentile_99_5": 250.0, "median": 82.0}
PLANS = {
    "dataset_name": "Dataset007_Liver",
    "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "configurations": {"2d": CONFIGURATION, "3d_fullres": CONFIGURATION | {"patch_size": [32, 32, 32]}},
    "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
}
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "tumour": 2}, "numTraining": 30}
OLD_NETWORK = {
    "UNet_class_name": "PlainConvUNet",
    "UNet_base_num_features": 4,
    "unet_max_num_features": 6,
    "n_conv_per_stage_encoder": [1, 2],
    "n_conv_per_stage_decoder": [1],
    "num_pool_per_axis": [1, 1],
    "pool_op_kernel_sizes": [[1, 1], [2, 2]],
    "conv_kernel_sizes": [[3, 3], [3, 3]],
}


def changed(content, path, value):
    """A copy of nested dicts with one entry changed; `path` has dots; with the value None the entry is left out."""
    content = copy.deepcopy(content)
    *parents, last = path.split("/")
    part = content
    for name in parents:
        part = part[name]
    if value is None:
        part.pop(last, None)
    else:
        part[last] = value
    return content


def network_weights(seed=0, classes=3):
    """A state dict as nnU-Net's network has it: second names of weights, and heads of deep supervision."""
    torch.manual_seed(seed)
    short = PARAMETERS | {"norm_op": "InstanceNorm2d", "nonlin": "LeakyReLU"}
    own = PlainConvUNet(1, classes, short).state_dict()
    weights = OrderedDict(own)
    for name, tensor in own.items():
        if name.startswith("encoder."):
            weights[f"decoder.{name}"] = tensor
        weights[name.replace(".conv.", ".all_modules.0.").replace(".norm.", ".all_modules.1.")] = tensor
    return weights


def checkpoint(seed=0, **changes):
    """What nnU-Net's trainer saves, numpy scalars and the name of a device among it."""
    content = {
        "network_weights": network_weights(seed),
        "optimizer_state": {
            "state": {0: {"momentum_buffer": torch.zeros(3)}},
            "param_groups": [{"lr": 0.01, "params": [0]}],
        },
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5), np.float32(0.75)], "dice_per_class_or_region": [[np.float64(1)]]},
        "_best_ema": np.float64(0.8),
        "current_epoch": 1000,
        "init_args": {"plans": PLANS, "configuration": "2d", "fold": 0, "device": torch.device("cuda")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }
    return content | changes


def write_model(folder, plans=PLANS, dataset=DATASET, checkpoints=None):
    """A trained model folder; `checkpoints` maps "fold_0/checkpoint_final.pth" to content."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("plans.json", plans), ("dataset.json", dataset)):
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name, content in (
        checkpoints if checkpoints is not None else {"fold_0/checkpoint_final.pth": checkpoint()}
    ).items():
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save(content, folder / name)
    return folder


def zipped(folder, target):
    """The zip that nnU-Net exports of a results folder."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target
