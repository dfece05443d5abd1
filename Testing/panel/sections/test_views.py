"""The views as the panel leaves them, in a window with real sizes: what is shown is seen, named, and put back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer
from host.pressing import press, settle, turn
from host.scans import add, add_scan, choose, organs
from host.window import SIZES, close_window, open_window, resize
from PySide6 import QtWidgets
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.normalisation import Normalisation
from UNetSegmenterLib.scene.views.cameras import box_of, cameras_by_view, is_turned, shown_extent
from UNetSegmenterLib.scene.views.layout import ONE_ROW, ONLY_3D, ROWS, slice_views
from UNetSegmenterLib.scene.views.slice_views import axes_of, corners_of_node, cuts_box
from UNetSegmenterLib.scene.views.view_labels import texts_in_view

FAR = (210.0, -320.0, 1536.0)
COLUMNS = [*slice_views("Pred"), "Pred3D"]


@pytest.fixture
def window(widget):
    """The panel in Slicer's window, as small as laptops have it, in the layout that Slicer starts with."""
    slicer.app.layoutManager().setLayout(2)
    slicer.app.layoutManager().setLayout(3)
    yield open_window(widget)
    close_window()


def widgets():
    manager = slicer.app.layoutManager()
    found = {name: manager.sliceWidget(name) for name in manager.sliceViewNames()}
    threed = (manager.threeDWidget(number) for number in range(manager.threeDViewCount))
    return found | {widget.mrmlViewNode().GetLayoutName(): widget for widget in threed}


def view(name):
    widget = widgets()[name]
    return widget.sliceView() if hasattr(widget, "sliceView") else widget.threeDView()


def words(name):
    return texts_in_view(view(name).renderWindow().GetRenderers().GetItemAsObject(0))


def node(name):
    return widgets()[name].mrmlSliceNode()


def assert_seen(name, nodes):
    """What is shown in a 3D view is inside of it and fills at least a third of it."""
    left, right, bottom, top = shown_extent(
        cameras_by_view(slicer.mrmlScene)[name], box_of(nodes), view(name).width / view(name).height
    )
    assert min(left, bottom) >= -1.001 and max(right, top) <= 1.001, (name, left, right, bottom, top)
    assert max(right - left, top - bottom) / 2 > 1 / 3, name


def assert_fitted(name, scan):
    """The whole scan is in a slice view, as large as it has room for."""
    corners, shown, size = corners_of_node(scan), node(name).GetFieldOfView(), node(name).GetDimensions()
    assert size[:2] == (view(name).width, view(name).height)
    fills = [np.ptp(corners @ axis) / side for axis, side in zip(axes_of(node(name)), shown[:2], strict=False)]
    assert max(fills) == pytest.approx(1.0, abs=0.01), (name, fills)


def compared(widget):
    scan = add_scan(origin_lps=FAR)
    widget.initializeParameterNode()
    prediction, reference = add("Prediction of a CT", organs(shift=3)), add("Drawn by hand", organs())
    for one in (prediction, reference):
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "far away")
        matrix = slicer.vtkMRMLSliceNode().GetSliceToRAS()
        matrix.Identity()
        for axis, by in enumerate(np.mean(corners_of_node(scan), axis=0) - box_of([one]).mean(axis=0)):
            matrix.SetElement(axis, 3, by)
        transform.SetMatrixTransformToParent(matrix)
        one.SetAndObserveTransformNodeID(transform.GetID())
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    choose(widget, prediction, reference)
    settle(0.2)
    return scan, prediction, reference


def side_by_side(widget):
    made = compared(widget)
    press(widget.ui.sideBySideButton)
    settle(0.8)
    return made


def test_a_result_is_seen_in_slicers_own_views(window, ready):
    scan = add_scan("Far", origin_lps=FAR)
    ready.ui.inputSelector.setCurrentNode(scan)
    slicer.util.setSliceViewerLayers(background=scan, fit=True)
    offsets = {}
    for name in ("Red", "Green", "Yellow"):
        node(name).SetSliceOffset(node(name).GetSliceOffset() + 1.0)
        offsets[name] = node(name).GetSliceOffset()
    settle(0.2)
    press(ready.ui.applyButton)
    turn(lambda: not ready.segment.state.is_busy, 120)
    settle(0.8)
    result = ready.segment.result.node
    assert_seen("1", [result])
    box = box_of([result])
    for name, offset in offsets.items():
        assert cuts_box(node(name), box) and node(name).GetSliceOffset() == pytest.approx(offset), "where the user was"
    resize(SIZES[1])
    for name in offsets:
        assert_fitted(name, scan)
    assert_seen("1", [result])
    node("Red").SetFieldOfView(30.0, 20.0, 1.0)
    camera = cameras_by_view(slicer.mrmlScene)["1"]
    camera.GetCamera().Azimuth(40.0)
    position = camera.GetPosition()
    node("Green").SetSliceOffset(9999.0)
    resize(SIZES[0], panel_width=520)
    press(ready.ui.applyButton)
    turn(lambda: not ready.segment.state.is_busy, 120)
    settle(0.8)
    assert node("Red").GetFieldOfView()[1] == pytest.approx(20.0) and is_turned(camera), "zoomed and turned by the user"
    assert camera.GetPosition() == position
    assert cuts_box(node("Green"), box), "but a slice that shows nothing goes where something is"
    assert_fitted("Yellow", scan)


def test_columns_are_of_one_width_and_show_all_at_any_size(window, widget):
    scan, *nodes = side_by_side(widget)
    for size in SIZES:
        resize(size)
        widths = [view(name).width for name in COLUMNS]
        assert max(widths) - min(widths) <= 2 and widths[3] >= widths[0] - 1, widths
        for row in ROWS:
            assert_seen(f"{row}3D", nodes)
        for name in slice_views("Pred"):
            assert_fitted(name, scan)
            assert cuts_box(node(name), box_of(nodes))
    widget.ui.sliceCurveCheckBox.click()
    settle(0.8)
    heights = view("PredAx").height
    for name in slice_views("Pred"):
        assert_fitted(name, scan)
    resize(SIZES[1], panel_width=700)
    for name in slice_views("Pred"):
        assert_fitted(name, scan)
    widget.ui.sliceCurveCheckBox.click()
    widget.ui.viewsLayoutComboBox.setCurrentText(ONE_ROW)
    settle(0.8)
    assert view("PredAx").height > heights
    for name in slice_views("Pred"):
        assert_fitted(name, scan)
    widget.ui.viewsLayoutComboBox.setCurrentText(ONLY_3D)
    settle(0.8)
    assert_seen("Ref3D", nodes)
    resize((900, 1000))
    assert_seen("Ref3D", nodes)


def test_each_view_says_what_it_shows_in_words_that_fit(window, widget):
    side_by_side(widget)
    for size, panel_width in ((SIZES[1], None), (SIZES[0], None), (SIZES[0], 760)):
        resize(size, panel_width)
        for row, title, name in (
            ("Pred", "Prediction", "Prediction of a CT"),
            ("Ref", "Ground truth", "Drawn by hand"),
        ):
            for one in (*slice_views(row), f"{row}3D"):
                found = words(one)
                assert found[0] == title and found[1][:3] == name[:3] and found[1][-3:] == name[-3:], found
                assert widths_of_words(one) <= 0.95 * view(one).width
    node("PredAx").SetSliceOffset(node("PredAx").GetSliceOffset() + 3.0)
    settle()
    assert words("PredAx")[0] == "Prediction", "moving a slice takes nothing away"
    labels = [node(name).GetLayoutLabel() for row in ROWS for name in slice_views(row)]
    assert len(set(labels)) == 6 and max(map(len, labels)) == 2, labels
    widget.ui.viewsLayoutComboBox.setCurrentText(ONE_ROW)
    settle()
    assert words("PredAx") == ["Prediction + Ground truth", "Prediction of a CT: areas", "Drawn by hand: lines"]
    press(widget.ui.sideBySideButton)
    assert not any(words(one) for one in COLUMNS)


def widths_of_words(name):
    renderer, found = view(name).renderWindow().GetRenderers().GetItemAsObject(0), [0.0, 0.0]
    props = renderer.GetViewProps()
    sizes = []
    for number in range(props.GetNumberOfItems()):
        props.GetItemAsObject(number).GetSize(renderer, found)
        sizes.append(found[0])
    return max(sizes)


def test_the_window_of_the_model_is_a_switch_away_from_that_of_before(window, widget, checkpoints, tmp_path):
    scan, *_ = compared(widget)
    display = scan.GetDisplayNode()
    display.SetAutoWindowLevel(True)
    before = display.GetWindow(), display.GetLevel()
    press(widget.ui.sideBySideButton)
    assert (display.GetWindow(), display.GetLevel()) == (400.0, 40.0), "no model is chosen"
    press(widget.ui.softTissueCheckBox)
    assert display.GetAutoWindowLevel() and (display.GetWindow(), display.GetLevel()) == pytest.approx(before)
    press(widget.ui.sideBySideButton)
    widget.panel.model.choose(str(checkpoints["good"]))
    turn(lambda: widget.panel.model.card is not None)
    press(widget.ui.sideBySideButton)
    assert display.GetAutoWindowLevel(), "the switch is remembered"
    press(widget.ui.softTissueCheckBox)
    low, high = widget.panel.model.card.preprocessing.window_hu
    assert (display.GetWindow(), display.GetLevel()) == (high - low, (low + high) / 2)
    press(widget.ui.sideBySideButton)
    good = load_checkpoint(checkpoints["good"])
    unknown = replace(good.card.preprocessing, normalisation=Normalisation("z-score"), intensities="any")
    save_checkpoint(tmp_path / "any.pt", replace(good.card, preprocessing=unknown), good.weights)
    widget.panel.model.choose(str(tmp_path / "any.pt"))
    turn(lambda: widget.panel.model.card is not None and widget.panel.model.card.preprocessing.intensities == "any", 60)
    press(widget.ui.sideBySideButton)
    assert display.GetAutoWindowLevel(), "a model that reads no HU leaves the scan its own window"
    assert not widget.ui.softTissueCheckBox.enabled and "other intensities" in widget.ui.softTissueCheckBox.toolTip
    press(widget.ui.sideBySideButton)
    assert display.GetAutoWindowLevel() and (display.GetWindow(), display.GetLevel()) == pytest.approx(before)


def test_slicers_own_views_are_left_as_they_were(window, widget):
    compared(widget)
    node("Red").JumpSliceByCentering(*(np.array(FAR) * (-1, -1, 1) + (-20.0, -30.0, 9.0)))
    node("Red").SetFieldOfView(60.0, 50.0, 1.0)
    settle(0.2)
    camera = cameras_by_view(slicer.mrmlScene)["1"]
    before = [axes_of(node(name))[3].tolist() for name in ("Red", "Green", "Yellow")], camera.GetPosition()
    height = node("Red").GetFieldOfView()[1]
    press(widget.ui.sideBySideButton)
    settle(0.2)
    assert axes_of(node("PredAx"))[3][2] == pytest.approx(before[0][0][2]), "the slice that was on screen"
    press(widget.ui.nextStructureButton)
    resize(SIZES[1])
    press(widget.ui.sideBySideButton)
    settle(0.8)
    assert ([axes_of(node(name))[3].tolist() for name in ("Red", "Green", "Yellow")], camera.GetPosition()) == before
    assert node("Red").GetFieldOfView()[1] == pytest.approx(height)


def test_the_colours_of_a_pair_are_the_same_in_table_and_views(window, widget):
    _, prediction, reference = compared(widget)
    segments = reference.GetSegmentation()
    for number in range(segments.GetNumberOfSegments()):
        segments.GetNthSegment(number).SetColor(0.1 * number, 0.9, 0.4)
    press(widget.ui.compareButton)
    turn(lambda: not widget.panel.compare.is_busy, 120)
    press(widget.ui.sideBySideButton)
    assert widget.panel.compare.table.rows
    for row in widget.panel.compare.table.rows:
        for one in (prediction, reference):
            segment_id = one.GetSegmentation().GetSegmentIdBySegmentName(row.structure)
            shown = [255 * one.GetDisplayNode().GetSegmentColor(segment_id)[channel] for channel in range(3)]
            assert shown == pytest.approx(row.color, abs=1.0), row.structure


def test_in_review_each_case_is_seen_without_the_layout_too(window, widget):
    scan, prediction, _ = compared(widget)
    later = add_scan("next case", origin_lps=(-400.0, 90.0, -900.0))
    prediction.SetAndObserveTransformNodeID(None)
    widget.panel.result_views.show_case(prediction, later)
    assert_seen("1", [prediction])
    for name in ("Red", "Green", "Yellow"):
        composite = widgets()[name].sliceLogic().GetSliceCompositeNode()
        assert composite.GetBackgroundVolumeID() == later.GetID()
    assert QtWidgets.QWidget.isVisible(widgets()["Red"]) and scan.GetID() != later.GetID()
