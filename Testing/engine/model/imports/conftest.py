"""A trained model's folder of nnU-Net, with two folds."""

import pytest

from . import nnunet_models as models
from .nnunet_models import FINAL


@pytest.fixture
def folder(tmp_path):
    folds = {FINAL.format(fold): models.checkpoint(fold) for fold in (0, 1)}
    return models.write_model(tmp_path / "Dataset007_Liver" / "nnUNetTrainer__nnUNetPlans__2d", checkpoints=folds)
