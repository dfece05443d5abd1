"""Verdicts and matches by hand are part of the segmentation: saved with the scene, whatever was typed."""

import pytest
import slicer
from UNetSegmenterLib.engine.evaluation.verdict import Verdict, make_verdict
from UNetSegmenterLib.scene.headless.storage import load_scene, save_scene
from UNetSegmenterLib.scene.nodes.node_attributes import (
    made_with,
    matched_by_hand,
    set_matched_by_hand,
    set_verdict,
    verdict_of,
)

COMMENT = "He said \"no\", twice;\nü 漢 <b> & 100 %3B\v\ttab \x1b\n\n'last'"
NAMES = {'my "organ"; of: 100 %': "ü 漢 <b>", "left": None}


@pytest.mark.parametrize("ending", ["mrml", "mrb"])
def test_a_verdict_survives_the_scene_file(headless, tmp_path, ending):
    scene = headless.scene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Prediction")
    verdict = make_verdict("small faults", COMMENT, 'Müller; A: "B"', "abdomen8 (0123)")
    set_verdict(node, verdict)
    assert verdict_of(node) == verdict and "\n\n'last'" in verdict.comment
    path = tmp_path / f"scene.{ending}"
    if ending == "mrb":
        save_scene(scene, path)
        load_scene(path, scene)
    else:
        scene.SetURL(str(path))
        assert scene.Commit()
        scene = slicer.vtkMRMLScene()
        scene.SetURL(str(path))
        scene.Connect()
    assert verdict_of(scene.GetFirstNodeByName("Prediction")) == verdict


def test_nothing_said_leaves_nothing_behind(headless):
    node = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Prediction")
    assert not verdict_of(node)
    set_verdict(node, make_verdict("plausible", "", "A"))
    set_verdict(node, make_verdict("", " \n", "A"))
    assert not [name for name in node.GetAttributeNames() if "Verdict" in name]
    node.SetAttribute("UNetSegmenter.VerdictScore", "superb")
    assert verdict_of(node) == Verdict()


def test_the_checkpoint_is_named(headless):
    node = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Prediction")
    assert made_with(node) == ""
    node.SetAttribute("UNetSegmenter.Checkpoint", "abdomen8")
    node.SetAttribute("UNetSegmenter.CheckpointSHA256", "0123456789abcdef")
    assert made_with(node) == "abdomen8 (0123456789ab)"


def test_matches_survive_the_scene_file(headless, tmp_path):
    scene = headless.scene
    ours, theirs, others = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in "PRS")
    set_matched_by_hand(ours, theirs, NAMES)
    set_matched_by_hand(ours, others, {"a": "b"})
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    again = slicer.vtkMRMLScene()
    again.SetURL(str(tmp_path / "scene.mrml"))
    again.Connect()
    ours, theirs, others = (again.GetFirstNodeByName(name) for name in "PRS")
    assert matched_by_hand(ours, theirs) == NAMES and matched_by_hand(ours, others) == {"a": "b"}
    set_matched_by_hand(ours, theirs, {})
    assert matched_by_hand(ours, theirs) == {} and matched_by_hand(ours, others) == {"a": "b"}
    ours.SetAttribute("UNetSegmenter.MatchedByHand", "no JSON")
    assert matched_by_hand(ours, others) == {}
