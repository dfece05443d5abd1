"""Structures: the values of the data sets, Slicer's codes and colours, and the names people write."""

import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import (
    ABDOMEN8,
    HEART,
    Structure,
    canonical_name,
    known_names,
    known_structure,
)
from UNetSegmenterLib.engine.labels.terminology import GENERAL_ANATOMY, CodedConcept, Terminology

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"


def test_heart_is_mmwhs():
    assert [(s.name, s.index, s.values) for s in HEART] == [
        ("left ventricular myocardium", 1, (205,)),
        ("left atrium", 2, (420, 421)),
        ("left ventricle", 3, (500,)),
        ("right atrium", 4, (550,)),
        ("right ventricle", 5, (600,)),
        ("ascending aorta", 6, (820,)),
        ("pulmonary artery", 7, (850,)),
    ]


def test_abdomen_is_the_data_set():
    path = DATA / "abdomen8" / "dataset.json"
    if not path.exists():
        pytest.skip(f"no {path}: the data set is not on this machine")
    labels = json.loads(path.read_text())["labels"]
    assert {s.name: s.values[0] for s in ABDOMEN8} == {name: value for name, value in labels.items() if value}
    assert [s.index for s in ABDOMEN8] == [s.values[0] for s in ABDOMEN8]


def test_entries_are_slicers_text():
    liver, left_kidney = ABDOMEN8[4], ABDOMEN8[2]
    assert liver.terminology.entry() == (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert left_kidney.terminology.entry() == (
        "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
        "~SCT^64033007^Kidney~SCT^7771000^Left~Anatomic codes - DICOM master list~^^~^^"
    )
    assert HEART[1].terminology.entry() == (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure"
        "~SCT^82471001^Left atrium~^^~Anatomic codes - DICOM master list~^^~^^"
    )
    assert liver.color == (221, 130, 101)


@pytest.mark.parametrize("name", known_names())
def test_entry_reads_back(name):
    structure = known_structure(name, 1, 1)
    assert Terminology.from_entry(structure.terminology.entry()) == structure.terminology
    assert Structure.from_json(json.loads(json.dumps(structure.to_json()))) == structure


def test_foreign_entries_are_none():
    assert Terminology.from_entry("") is None
    assert Terminology.from_entry("list~^^~^^~^^~~^^~^^") is None
    assert Terminology.from_entry("nonsense") is None


def test_same_concept_looks_at_type_and_side_only():
    left, right = ABDOMEN8[2].terminology, ABDOMEN8[3].terminology
    assert left.concept != right.concept
    reworded = Terminology(
        CodedConcept("SCT", "1", "x"), CodedConcept("SCT", "64033007", "Kidney structure"), left.modifier, "other"
    )
    assert left.concept == reworded.concept


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("kidney_left", "left kidney"),
        ("Kidney, left", "left kidney"),
        ("LeftKidney", "left kidney"),
        ("LKid", "left kidney"),
        ("kidney (R)", "right kidney"),
        ("spleen_label", "spleen"),
        ("SPLEEN.seg", "spleen"),
        ("gallbladder", "gallbladder"),
        ("Gall-Bladder", "gallbladder"),
        ("liver", "liver"),
        ("Stomach mask", "stomach"),
        ("Aorta", "aorta"),
        ("LV", "left ventricle"),
        ("heart_ventricle_left", "left ventricle"),
        ("left ventricle blood cavity", "left ventricle"),
        ("Myo", "left ventricular myocardium"),
        ("LV_myocardium", "left ventricular myocardium"),
        ("heart_myocardium", "left ventricular myocardium"),
        ("RV", "right ventricle"),
        ("LA", "left atrium"),
        ("heart_atrium_left", "left atrium"),
        ("RA", "right atrium"),
        ("AO", "ascending aorta"),
        ("PA", "pulmonary artery"),
        ("adrenal_gland_right", "right adrenal gland"),
        ("urinary_bladder", "bladder"),
        ("lungs", "lungs"),
        ("Femur_Left", "left femur"),
        ("label", "label"),
        ("", ""),
    ],
)
def test_canonical_name(written, meant):
    assert canonical_name(written) == meant


@pytest.mark.parametrize("names", [HEART, ABDOMEN8])
def test_no_two_structures_of_a_set_share_a_name(names):
    assert len({canonical_name(s.name) for s in names}) == len(names)


@given(st.sampled_from(known_names()), st.sampled_from(["_", "-", " ", "  "]), st.booleans(), st.booleans())
def test_spelling_does_not_count(name, gap, upper, side_last):
    words = name.split(" ")
    if side_last and words[0] in ("left", "right"):
        words = [*words[1:], words[0]]
    text = gap.join(words)
    assert canonical_name(text.upper() if upper else text) == name


@given(st.text(max_size=30))
def test_canonical_name_is_stable(text):
    once = canonical_name(text)
    assert canonical_name(once) == once


def test_unknown_structures_keep_their_name_and_differ_in_colour():
    made = [known_structure(f"thing {index}", index, index) for index in range(1, 17)]
    assert all(s.terminology is None for s in made)
    assert made[0].name == "thing 1"
    assert len({s.color for s in made}) == 16


def test_broken_json_is_refused_in_one_sentence():
    with pytest.raises(InputError, match="expected name, index"):
        Structure.from_json({"name": "liver"})
    with pytest.raises(InputError):
        Structure.from_json({"name": "liver", "index": 1, "values": 3, "color": [1, 2, 3]})


def _slicer_terminologies() -> dict[str, dict]:
    """Slicer's terminology files by list name, from an installed wheel that carries them (trame-slicer does)."""
    spec = importlib.util.find_spec("trame_slicer")
    folders = list(spec.submodule_search_locations or []) if spec else []
    lists = {}
    for folder in folders:
        for path in Path(folder).rglob("SegmentationCategoryTypeModifier-*.term.json"):
            content = json.loads(path.read_text(encoding="utf-8"))
            lists[content["SegmentationCategoryTypeContextName"]] = content["SegmentationCodes"]["Category"]
    return lists


def _verified(lists: dict, structure: Structure) -> bool:
    """Whether Slicer's list has this category, type and side, with this colour where it recommends one."""
    terminology = structure.terminology
    for category in lists[terminology.context]:
        if category["CodeValue"] != terminology.category.value:
            continue
        for kind in category["Type"]:
            if (kind["CodeValue"], kind["CodeMeaning"]) != (terminology.type.value, terminology.type.meaning):
                continue
            color = kind.get("recommendedDisplayRGBValue")
            if terminology.modifier is not None:
                side = next(m for m in kind["Modifier"] if m["CodeValue"] == terminology.modifier.value)
                assert side["CodeMeaning"] == terminology.modifier.meaning
                color = side.get("recommendedDisplayRGBValue")
            assert color is None or tuple(color) == structure.color, structure.name
            return True
    return False


def test_codes_and_colours_are_slicers():
    lists = _slicer_terminologies()
    if not lists:
        pytest.skip("no installed package carries Slicer's terminology files (pip install trame-slicer --no-deps)")
    missing = {name for name in known_names() if not _verified(lists, known_structure(name, 1, 1))}
    assert missing == {"left ventricular myocardium"}  # Slicer's lists have no myocardium; see structures.py
    in_general = {kind["CodeValue"] for category in lists[GENERAL_ANATOMY] for kind in category["Type"]}
    for name in known_names():
        terminology = known_structure(name, 1, 1).terminology
        assert (terminology.type.value in in_general) == (terminology.context == GENERAL_ANATOMY), name
