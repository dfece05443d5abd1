"""The module file: cheap to load, complete, reloadable; its scripting interface; the states."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import slicer
import UNetSegmenterLib
from host.pressing import turn
from host.scans import add_scan
from UNetSegmenterLib.panel.jobs.segmentation_run import SegmentationProgress, duration, stored_dtype
from UNetSegmenterLib.panel.remembered import forget_unreadable
from UNetSegmenterLib.panel.sections.segment_section import FOLLOWS, RunState, RunStateMachine

ROOT = Path(__file__).resolve().parents[2]
MODULE = Path(UNetSegmenterLib.__file__).parents[1] / "UNetSegmenter.py"


def test_loading_the_module_imports_nothing_heavy():
    code = (
        "import slicer, sys; sys.path.insert(0, 'Testing'); import host; host.start()\n"
        "from host.scripted import load_module; import SimpleITK\n"
        "before = set(sys.modules)\n"
        f"load_module({str(MODULE)!r})\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    rooms = ["UNetSegmenterLib", "UNetSegmenterLib.scene", "UNetSegmenterLib.scene.views"]
    layouts = [*rooms, "UNetSegmenterLib.scene.views.layout"]
    assert done.stdout.strip().splitlines()[-1].split() == ["UNetSegmenter", *layouts]


def test_opening_the_panel_imports_no_torch():
    code = (
        "import slicer, sys; sys.path.insert(0, 'Testing'); import host; host.start()\n"
        "from host.scripted import load_module\n"
        f"load_module({str(MODULE)!r}).enter()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, env={**os.environ})


def test_what_slicer_shows_of_the_module(module):
    parent = module.parent
    assert parent.title == "UNetSegmenter" and parent.categories == ["Segmentation"]
    assert "docs/tutorial.md" in parent.helpText and "Not a medical device" in parent.helpText


def test_samples_are_registered_with_address_and_checksum(module, monkeypatch):
    registered = []
    logic = types.SimpleNamespace(registerCustomSampleDataSource=lambda **source: registered.append(source))
    monkeypatch.setitem(sys.modules, "SampleData", types.SimpleNamespace(SampleDataLogic=logic))
    sys.modules["UNetSegmenter"].registerSampleData()
    assert [source["sampleName"] for source in registered] == ["UNetSegmenterSampleCT", "UNetSegmenterSampleReference"]
    for source in registered:
        assert source["uris"].startswith("https://") and len(source["checksums"]) == len("SHA256:") + 64


def test_a_sample_that_cannot_be_fetched_is_said_to_whoever_pressed_its_button(module, monkeypatch):
    from UNetSegmenterLib.panel.sample_data import SAMPLES, load_sample

    said, cache = [], types.SimpleNamespace(GetRemoteCacheDirectory=lambda: "/nowhere")
    monkeypatch.setattr(slicer, "mrmlScene", types.SimpleNamespace(GetCacheManager=lambda: cache))
    monkeypatch.setattr(slicer.util, "downloadFile", lambda *args, **options: False)
    monkeypatch.setattr(slicer.util, "errorDisplay", lambda text, **options: said.append(text))
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False, raising=False)
    with pytest.raises(RuntimeError, match="did not work"):
        load_sample(types.SimpleNamespace(sampleName=SAMPLES[0].name))
    assert SAMPLES[0].name in said[0] and "check the internet connection" in said[0]


def test_reload_takes_the_lib_along():
    code = (
        "import slicer, sys; sys.path.insert(0, 'Testing'); import host; host.start()\n"
        "from host.scripted import load_module\n"
        "first = load_module('UNetSegmenter/UNetSegmenter.py').enter()\n"
        "before = sys.modules['UNetSegmenterLib.panel.panel']\n"
        "slicer.util.reloadScriptedModule('UNetSegmenter')\n"
        "assert sys.modules['UNetSegmenterLib.panel.panel'] is not before\n"
        "assert slicer.modules.UNetSegmenterWidget is not first\n"
        "after = slicer.modules.UNetSegmenterWidget.panel.result_views\n"
        "assert after.Observations, 'nothing would fit the views: Slicer does not call enter() after a reload'\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


def test_a_slicer_that_is_too_old_says_so(monkeypatch):
    source = MODULE.read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 9))
    monkeypatch.setattr(sys, "version_info", (3, 9, 10))  # of Slicer 5.8
    with pytest.raises(ImportError, match=r"needs 3D Slicer 5\.10 or later"):
        exec(compile(source, "UNetSegmenter.py", "exec"), {})


def test_coming_back_to_the_module_leaves_nothing_more_behind(module, widget, scan):
    """Each wrapper of parameters leaves its observers on the script node, which outlives scenes."""
    parameters = widget.panel.parameters
    module.exit()
    module.enter()
    assert widget.panel.parameters is parameters and parameters.inputVolume is scan
    widget.ui.outlineCheckBox.setChecked(not parameters.outlines)
    assert parameters.outlines == widget.ui.outlineCheckBox.checked


def test_a_script_node_that_was_deleted_is_made_anew(module, widget):
    slicer.mrmlScene.RemoveNode(widget.panel.parameters.parameterNode)
    module.exit()
    module.enter()
    assert widget.panel.parameters.parameterNode.GetScene() is slicer.mrmlScene
    widget.ui.opacitySlider.setValue(31)
    assert widget.panel.parameters.opacity == 31


def test_choices_that_another_version_made_become_defaults(widget):
    node = widget.panel.parameters.parameterNode
    widget.setParameterNode(None)
    for name, text in (("viewsLayout", "Four rows"), ("distanceScale", "1000"), ("opacity", "101"), ("device", "cpu")):
        node.SetParameter(name, text)
    widget.initializeParameterNode()
    parameters = widget.panel.parameters
    assert (parameters.viewsLayout, parameters.distanceScale, parameters.opacity) == ("Two rows", 10, 50)
    assert parameters.device == "cpu" and widget.ui.deviceComboBox.currentText == "cpu"


def test_what_is_no_number_is_forgotten_before_it_is_read(widget):
    module, node = sys.modules["UNetSegmenter"], slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    for name, text in (("opacity", "half"), ("device", "cpu"), ("reviewCase", "half")):
        node.SetParameter(name, text)
    forget_unreadable(node, module.PARAMETERS)
    assert set(node.GetParameterNames()) == {"device", "reviewCase"}


def test_scripting_waits_or_calls_back(module, widget, checkpoints):
    logic = sys.modules["UNetSegmenter"].UNetSegmenterLogic()
    scan = add_scan("Scripted")
    node = logic.segment(scan, checkpoints["other"], device="cpu")
    assert node.GetSegmentation().GetNumberOfSegments() == 2
    results, progress = [], []
    job = logic.startSegment(
        scan, checkpoints["other"], node, "cpu", onProgress=progress.append, onEnd=results.append, surfaces=False
    )
    turn(lambda: results)
    assert results[0].node is node and results[0].outcome.complete and progress[-1].done == 16
    assert job.options.surfaces is False
    rows = logic.compare(node, node, scan).rows
    assert {row.measures.dice for row in rows if row.measures} == {1.0}
    findings = logic.check(node, scan, checkpoints["other"])
    assert findings and {finding.severity for finding in findings} <= {"pass", "warn", "fail"}
    with pytest.raises(ValueError, match="no scan"):
        logic.segment(None, checkpoints["other"])
    with pytest.raises(ValueError, match="no such file"):
        logic.segment(scan, checkpoints["missing"])
    logic.close()


def test_the_self_test_of_the_module(module, widget):
    sys.modules["UNetSegmenter"].UNetSegmenterTest().runTest()


def test_states_follow_each_other_only_as_a_run_does():
    seen = []
    machine = RunStateMachine(seen.append)
    for state in (
        RunState.STARTING,
        RunState.RUNNING,
        RunState.CANCELLING,
        RunState.CANCELLED,
        RunState.STARTING,
        RunState.CRASHED,
    ):
        machine.to(state)
    with pytest.raises(ValueError, match="running cannot follow crashed"):
        machine.to(RunState.RUNNING)
    assert seen[-1] is RunState.CRASHED and set(FOLLOWS) == set(RunState)
    assert all(RunState.IDLE in FOLLOWS[state] or state is RunState.IDLE for state in RunState)


def test_progress_in_words():
    assert SegmentationProgress(0, 200, 0).text() == "0 of 200 slices"
    assert SegmentationProgress(50, 200, 10).text() == "50 of 200 slices · 5.0 slices/s · 30 s left"
    assert SegmentationProgress(2, 200, 10).text() == "2 of 200 slices · 5.0 s per slice · 16 min 30 s left"
    assert duration(5400) == "1.5 h"


def test_scans_are_handed_over_in_the_smallest_type_that_holds_them():
    import numpy as np

    for kind, stored in (("i2", "<i2"), ("u1", "<i2"), ("u2", "<i2"), ("i4", "<i2"), ("f4", "<f4"), ("f8", "<f4")):
        assert stored_dtype(np.zeros((2, 2, 2), kind)) == np.dtype(stored)
    assert stored_dtype(np.full((2, 2, 2), 40000, "u2")) == np.dtype("<f4")
