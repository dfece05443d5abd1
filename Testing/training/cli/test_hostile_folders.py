"""Folders with links to nothing, files without rights and names that are no text: one sentence each, and no scan forgotten."""

import os
import sys

import pytest
from unetseg.data.layouts.detection import read_dataset
from UNetSegmenterLib.engine.errors import InputError

from ..command import refused, unetseg_here
from ..datasets import STRUCTURES, write_checkpoint, write_dataset

IMAGE, LABEL = "imagesTr/case0_0000.nii.gz", "labelsTr/case0.nii.gz"
needs_rights = pytest.mark.skipif(
    sys.platform == "win32" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may read everything"
)


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "blobs", cases=2)


@pytest.fixture
def options(tmp_path):
    model = tmp_path / "small.pt"
    write_checkpoint(model, structures=STRUCTURES)
    return ("--checkpoint", model, "--output", tmp_path / "out", "--device", "cpu")


def evaluate(data, options):
    return unetseg_here("evaluate", options[1], data, *options[2:], "--workers", 1)


def linked(path, target):
    path.unlink()
    path.symlink_to(target)


def test_a_link_to_nothing_is_a_scan_that_could_not_be_segmented(data, options):
    linked(data / IMAGE, "annex/objects/abc")
    result = unetseg_here("segment", data / "imagesTr", *options)
    assert result.returncode == 1
    assert "1 of 2 scans could not be segmented" in result.stderr
    assert "case0_0000.nii.gz does not exist (it is a link to annex/objects/abc)" in result.stderr
    assert (options[3] / "case1.seg.nrrd").exists()


def test_pairs_of_links_to_nothing_are_no_smaller_data_set(data):
    for kind in ("image", "label"):
        (data / f"case0_{kind}.nii.gz").symlink_to("nowhere")
        (data / f"case1_{kind}.nii.gz").write_bytes((data / IMAGE).read_bytes())
    (data / "dataset.json").unlink()
    for name in ("imagesTr", "labelsTr"):
        for file in (data / name).iterdir():
            file.unlink()
    (data / "structures.json").write_text('{"structures": {"liver": 1}}')
    assert [case.name for case in read_dataset(data).cases] == ["case0", "case1"]


@pytest.mark.parametrize("name", [IMAGE, LABEL])
def test_a_link_to_itself_is_named_by_a_sentence(data, options, name):
    linked(data / name, data / name)
    result = evaluate(data, options)
    refused(result, "1 of 2 cases could not be evaluated", "it is a link that leads back to itself", status=1)
    assert "Errno" not in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_a_name_that_is_no_text_is_refused_before_a_library_ends_the_process(data, options):
    strange = os.fsdecode(b"M\xfcller")
    (data / IMAGE).rename(data / "imagesTr" / f"{strange}_0000.nii.gz")
    (data / LABEL).rename(data / "labelsTr" / f"{strange}.nii.gz")
    reason = r"M\udcfcller_0000.nii.gz has a name that is no text in UTF-8; rename it."
    out = options[3]
    assert reason in unetseg_here("segment", data / "imagesTr", *options).stderr
    refused(
        evaluate(data, (*options[:3], out / "evaluated", *options[4:])),
        "has a name that is no text in UTF-8; rename it.",
    )
    refused(unetseg_here("prepare", data, out / "prepared"), "has a name that is no text in UTF-8; rename it.")
    label = data / "labelsTr" / f"{strange}.nii.gz"
    refused(unetseg_here("compare", label, label, "--output", out / "compared"), "no text in UTF-8; rename it.")
    refused(unetseg_here("check", label, "--output", out / "checked"), "no text in UTF-8; rename it.")
    named = ("segment", data / "imagesTr" / "case1_0000.nii.gz", *options[:2], "--output", out / strange)
    refused(unetseg_here(*named), "no text in UTF-8")


@needs_rights
def test_scans_folders_and_descriptions_without_rights_are_named(data, options):
    (data / IMAGE).chmod(0)
    result = unetseg_here("segment", data / "imagesTr", *options[:3], options[3] / "segmented", *options[4:])
    assert result.returncode == 1
    assert "Permission denied" in result.stderr
    assert "Traceback" not in result.stderr
    refused(evaluate(data, options), "1 of 2 cases", "Permission denied; check its rights.")
    (data / "labelsTr").chmod(0)
    try:
        with pytest.raises((InputError, PermissionError), match="Permission denied"):
            read_dataset(data)
    finally:
        (data / "labelsTr").chmod(0o755)
    (data / "dataset.json").chmod(0)
    with pytest.raises(InputError, match="Permission denied; check its rights"):
        read_dataset(data)
