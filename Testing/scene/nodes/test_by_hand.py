"""What was matched by hand is kept per pair of nodes and survives the scene file."""

import slicer
from UNetSegmenterLib.scene.nodes.by_hand import matched_by_hand, remember_by_hand

NAMES = {'my "organ"; of: 100 %': "ü 漢 <b>", "left": None}


def test_matches_survive_the_scene_file(headless, tmp_path):
    scene = headless.scene
    ours, theirs, others = (scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name) for name in "PRS")
    remember_by_hand(ours, theirs, NAMES)
    remember_by_hand(ours, others, {"a": "b"})
    scene.SetURL(str(tmp_path / "scene.mrml"))
    assert scene.Commit()
    again = slicer.vtkMRMLScene()
    again.SetURL(str(tmp_path / "scene.mrml"))
    again.Connect()
    ours, theirs, others = (again.GetFirstNodeByName(name) for name in "PRS")
    assert matched_by_hand(ours, theirs) == NAMES and matched_by_hand(ours, others) == {"a": "b"}
    remember_by_hand(ours, theirs, {})
    assert matched_by_hand(ours, theirs) == {} and matched_by_hand(ours, others) == {"a": "b"}
    ours.SetAttribute("UNetSegmenter.MatchedByHand", "no JSON")
    assert matched_by_hand(ours, others) == {}
