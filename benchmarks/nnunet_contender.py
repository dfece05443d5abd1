"""Our network inside nnU-Net's predictor, for the prediction benchmark.

nnU-Net does all of its own work: reading, cropping, normalisation, resampling, the pass over the slices, the way back to
the scan's grid. It gets plans that ask for what the card says: the window becomes its percentiles, mean and standard
deviation, and the patch holds a whole slice. nnU-Net has no neighbour slices, so they are stacked from the one channel that
it has prepared; three channels of a file would cost it three times the resampling.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
from UNetSegmenterLib.engine.model.preprocessing import neighbour_offsets, neighbour_step, network_size

from .prediction_contenders import Pipeline

for folder in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
    os.environ.setdefault(folder, "not-used")  # nnU-Net asks for them when it is imported
os.environ.setdefault("nnUNet_def_n_proc", str(torch.get_num_threads()))  # its default is 8, on any machine


class Nnunet(Pipeline):
    """`nnUNetPredictor` with our network.

    Args:
        checkpoint: see `Pipeline`.
        mirroring: also predict the slices mirrored along rows, columns and both, and average, as is nnU-Net's default.
        fast_resampling: resample with nnU-Net's functions in torch, which plans may ask for, instead of its default.
    """

    def __init__(self, checkpoint: Checkpoint, mirroring: bool = False, fast_resampling: bool = False) -> None:
        self.mirroring, self.fast_resampling = mirroring, fast_resampling
        super().__init__(checkpoint)

    def labels(self, scan: Path) -> np.ndarray:
        """Read with nnU-Net's reader, then its three steps."""
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

        hu, properties = SimpleITKIO().read_images([str(scan)])
        predictor = self._predictor(hu.shape[1:], properties["spacing"])
        stacked = self._stacked(predictor, hu, properties)
        logits = predictor.predict_logits_from_preprocessed_data(stacked)
        return _labels(predictor, logits, properties)

    def network_alone(self, hu: np.ndarray, spacing_mm: tuple[float, float, float]) -> Callable[[], object]:
        """Prepare the slices; what is returned makes nnU-Net's forward passes over them and forgets the logits."""
        predictor = self._predictor(hu.shape, spacing_mm)
        slices = list(self.batches(self.prepared(hu, spacing_mm), spacing_mm))

        @torch.inference_mode()
        def run() -> None:
            for one in slices:
                predictor._internal_maybe_mirror_and_predict(one)

        return run

    def _predictor(self, shape: tuple[int, ...], spacing_mm: Any) -> Any:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        predictor = nnUNetPredictor(
            use_mirroring=self.mirroring,
            perform_everything_on_device=False,
            device=torch.device("cpu"),
            allow_tqdm=False,
        )
        plans = PlansManager(self._plans(shape, spacing_mm))
        predictor.manual_initialization(
            self.network,
            plans,
            plans.get_configuration("2d"),
            [self.network.state_dict()],
            {
                "channel_names": {"0": "CT"},
                "labels": {"background": 0, **{s.name: number for number, s in enumerate(self.card.structures, 1)}},
                "file_ending": ".nii.gz",
            },
            "nnUNetTrainer",
            (0, 1),
        )
        return predictor

    def _plans(self, shape: tuple[int, ...], spacing_mm: Any) -> dict[str, Any]:
        """Plans as nnU-Net's planner writes them, for the card's preprocessing and slices of this shape."""
        preprocessing = self.card.preprocessing
        low, high = preprocessing.window_hu
        size = network_size(shape[1:], tuple(spacing_mm)[1:], preprocessing)
        configuration: dict[str, Any] = {
            "data_identifier": "benchmark",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 1,
            "patch_size": [-(-n // preprocessing.size_multiple) * preprocessing.size_multiple for n in size],
            "spacing": list(preprocessing.spacing_mm),
            "normalization_schemes": ["CTNormalization"],
            "use_mask_for_norm": [False],
            "architecture": {"network_class_name": "", "arch_kwargs": {}, "_kw_requires_import": []},
            "batch_dice": True,
        }
        for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
            if self.fast_resampling:
                function = "resample_torch_fornnunet"
                arguments = {"force_separate_z": False, "memefficient_seg_resampling": False}
                arguments["num_threads"] = torch.get_num_threads()
            else:
                function = "resample_data_or_seg_to_shape"
                arguments = {"order": order, "order_z": 0, "force_separate_z": None}
            configuration[f"resampling_fn_{what}"] = function
            configuration[f"resampling_fn_{what}_kwargs"] = {"is_seg": what == "seg", **arguments}
        intensities = {
            "mean": (low + high) / 2,
            "std": (high - low) / 2,
            "percentile_00_5": low,
            "percentile_99_5": high,
        }
        return {
            "dataset_name": "Dataset001_Benchmark",
            "plans_name": "nnUNetPlans",
            "image_reader_writer": "SimpleITKIO",
            "transpose_forward": [0, 1, 2],
            "transpose_backward": [0, 1, 2],
            "configurations": {"2d": configuration},
            "experiment_planner_used": "ExperimentPlanner",
            "label_manager": "LabelManager",
            "foreground_intensity_properties_per_channel": {"0": intensities},
        }

    def _stacked(self, predictor: Any, hu: np.ndarray, properties: dict[str, Any]) -> torch.Tensor:
        """nnU-Net's preprocessing of one channel, then the neighbour slices: (input slices, slices, rows, columns)."""
        from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

        data, _, _ = DefaultPreprocessor(verbose=False).run_case_npy(
            hu, None, properties, predictor.plans_manager, predictor.configuration_manager, predictor.dataset_json
        )
        preprocessing, slices = self.card.preprocessing, torch.from_numpy(data[0])
        offsets = neighbour_offsets(preprocessing.input_slices, neighbour_step(properties["spacing"][0], preprocessing))
        numbers = torch.arange(len(slices))
        return torch.stack([slices[(numbers + offset).clamp(0, len(slices) - 1)] for offset in offsets])


def _labels(predictor: Any, logits: torch.Tensor, properties: dict[str, Any]) -> np.ndarray:
    """nnU-Net's way from logits to labels on the scan's grid."""
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    return convert_predicted_logits_to_segmentation_with_correct_shape(
        logits, predictor.plans_manager, predictor.configuration_manager, predictor.label_manager, properties
    )
