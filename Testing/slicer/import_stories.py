"""Stories about models of other software: an nnU-Net is shown, previewed and imported; a structure's probability is shown."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import qt
import slicer
from eyes import tool_tip

NNUNET_MODELS = Path(__file__).resolve().parents[1] / "engine" / "model" / "imports" / "nnunet_models.py"


def trained_folder(folder, folds=2):
    """A trained model folder of nnU-Net with untrained weights, of which every class wins somewhere."""
    spec = importlib.util.spec_from_file_location("nnunet_models", NNUNET_MODELS)
    models = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    contents = {f"fold_{fold}/checkpoint_final.pth": models.checkpoint(fold) for fold in range(folds)}
    for content in contents.values():
        weights = content["network_weights"]
        for name in [name for name in weights if name.startswith("decoder.seg_layers")]:
            weights[name] = weights[name] * 30
    return models.write_model(folder / "nnUNetTrainer__nnUNetPlans__2d", checkpoints=contents)


def opened(world, path):
    """Drop a model on section Model and wait for the dialog."""
    qt.QSettings().setValue("UNetSegmenter/ModelFolder", str(world.folder / "imported"))
    world.panel.open(str(path))
    world.turn(lambda: not world.panel.imports.is_busy)
    dialog = world.panel.imports.dialog
    assert dialog is not None, [note.text for note in world.panel.imports.notes]
    return dialog


def previewed(world):
    world.turn(lambda: not world.panel.imports._preview.is_busy)
    return world.panel.imports.dialog.preview


def drawn(world, preview):
    """The picture of what the network reads, as the bytes of its file."""
    path = world.folder / "drawn.png"
    assert preview.input.pixmap.save(str(path))
    return path.read_bytes()


def an_nnunet_is_confirmed_previewed_and_imported(world):
    world.add_scan()
    dialog = opened(world, trained_folder(world.folder))
    assert dialog.window.isVisible() and dialog.problem == "", dialog.problem
    table = dialog.form.fields["structures"].parts.table
    assert [table.item(row, 2).text() for row in range(table.rowCount)] == ["liver", "tumour"]
    preview = previewed(world)
    assert "cm²" in preview.status.text, preview.status.text
    assert preview.slider.isEnabled() and preview.slider.maximum == 23
    first = drawn(world, preview)
    slices = dialog.form.fields["preprocessing.axis"]
    slices.axis.setCurrentIndex(slices.axis.findData("axial"))
    world.press(slices.flip_rows)
    assert drawn(world, previewed(world)) != first
    table.item(1, 2).setText("spleen")
    assert "Spleen" in table.item(1, 3).text()
    parts = dialog.form.fields["preprocessing.normalisation"].parts
    parts.low.widget.setText("nothing")
    assert not dialog.import_button.isEnabled() and "clipped" in tool_tip(dialog.import_button)
    parts.low.widget.setText("-100")
    world.picture("15-import")
    if world.output is not None:
        dialog.window.grab().save(str(world.output / "15-import-dialog.png"))
    world.press(dialog.import_button)
    world.turn(lambda: world.panel.imports.dialog is None and world.panel.model.card)
    assert not dialog.is_open and world.panel.model.folds == 2
    assert "ensemble of 2 networks" in world.panel.model.card_label.text
    assert world.ui.mirroringCheckBox.isEnabled()
    assert world.apply() == "done", world.words()
    (node,) = world.segmentations()
    assert node.GetSegmentation().GetNthSegment(1).GetName() == "spleen"
    world.picture("16-imported")


def a_dialog_that_is_closed_leaves_nothing(world):
    world.add_scan()
    dialog = opened(world, trained_folder(world.folder / "other", folds=1))
    dialog.window.close()
    world.settle()
    assert world.panel.imports.dialog is None and world.panel.imports._preview is None and not world.panel.model.path
    dialog = opened(world, trained_folder(world.folder / "other", folds=1))
    slicer.mrmlScene.Clear(0)
    world.settle()
    assert world.panel.imports.dialog is None and not dialog.is_open


def a_probability_is_shown_over_the_scan_and_taken_away(world):
    world.choose("tiny")
    scan = world.add_scan()
    composites = slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    mine = [one for one in composites if one.GetBackgroundVolumeID() == scan.GetID()]
    button = world.ui.probabilityButton
    assert [world.ui.probabilityComboBox.itemText(index) for index in range(2)] == ["liver", "spleen"]
    world.press(button)
    world.turn(lambda: not world.panel.probability.is_busy)
    node = world.panel.probability.shown
    assert node is not None, [note.text for note in world.panel.probability.notes]
    assert 0 <= slicer.util.arrayFromVolume(node).min() <= slicer.util.arrayFromVolume(node).max() <= 100
    assert mine and all(one.GetForegroundVolumeID() == node.GetID() for one in mine)
    world.picture("17-probability")
    world.press(button)
    assert world.panel.probability.shown is None and not any(one.GetForegroundVolumeID() for one in mine)


STORIES = (
    an_nnunet_is_confirmed_previewed_and_imported,
    a_dialog_that_is_closed_leaves_nothing,
    a_probability_is_shown_over_the_scan_and_taken_away,
)
