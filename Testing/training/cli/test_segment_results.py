"""The results of `unetseg segment`: DICOM segmentations that others can read, one file per structure, some structures only."""

import subprocess
import sys

import highdicom
import numpy as np
import pydicom
import pytest
from unetseg.cli.segment_results import named_structures
from unetseg.evaluation.dicom_seg_writer import write_dicom_seg
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.file_names import safe_file_names
from UNetSegmenterLib.engine.io.image_reading import read_image, read_volume
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8, Structure
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint

from ...engine.dicom_files import enhanced_elements, write_dicom, write_slices
from ..command import refused, tree, unetseg_here
from ..datasets import blobs

IDENTITY = {
    (0x0008, 0x0005): ("CS", "ISO_IR 100"),
    (0x0008, 0x0018): ("UI", "1.2.826.0.1.5"),
    (0x0010, 0x0010): ("PN", "Müller^Jörg".encode("latin-1")),
    (0x0010, 0x0020): ("LO", "P 7"),
    (0x0020, 0x000D): ("UI", "1.2.826.0.1.6"),
    (0x0020, 0x0011): ("IS", "3"),
    (0x0020, 0x0052): ("UI", "1.2.826.0.1.7"),
}
PLANES = {  # direction of columns and rows, way from slice to slice
    "axial": ((1, 0, 0, 0, 1, 0), (0, 0, 3)),
    "reversed": ((1, 0, 0, 0, 1, 0), (0, 0, -3)),
    "sagittal": ((0, 1, 0, 0, 0, -1), (3, 0, 0)),
    "oblique": ((0.8, 0.6, 0, -0.48, 0.64, 0.6), (1.08, -1.44, 2.4)),
}


def dicom_scan(folder, plane="axial", leave_out=()):
    """The scan of one case of the blobs as a DICOM series of 2 x 2 mm pixels."""
    hu, _ = blobs(0)
    directions, way = PLANES[plane]

    def change(number, elements):
        elements |= {tag: value for tag, value in IDENTITY.items() if tag not in leave_out}
        elements[0x0008, 0x0018] = ("UI", f"1.2.826.0.1.5.{number}")
        elements[0x0020, 0x0037] = ("DS", "\\".join(f"{value:g}" for value in directions))
        elements[0x0028, 0x0030] = ("DS", "2\\2")

    positions = [tuple(10.5 + number * step for step in way) for number in range(len(hu))]
    return write_slices(folder, hu, positions, change, series="1.2.826.0.1.8")


def drawn(geometry, structures=ABDOMEN8):
    labels = np.zeros(geometry.shape, np.uint8)
    labels[2:5, 5:15, 3:20], labels[4, 20:30, 30:40], labels[7, 1, 1] = 5, 3, 8
    return Segmentation(labels, geometry, structures, "drawn")


@pytest.mark.parametrize("plane", list(PLANES))
def test_a_dicom_segmentation_has_every_voxel_where_it_was_for_ours_and_other_readers(tmp_path, checkpoint, plane):
    scan = dicom_scan(tmp_path / "patient" / "ct", plane)
    segmentation = drawn(read_volume(scan).geometry)
    path = tmp_path / "seg" / "out.dcm"
    path.parent.mkdir()
    write_dicom_seg(segmentation, scan, load_checkpoint(checkpoint), path)
    ours = read_segmentation(path, grid=segmentation.geometry)
    assert ours.geometry == segmentation.geometry and np.array_equal(ours.labels, segmentation.labels)
    for one, other in zip(ours.structures, ABDOMEN8, strict=True):
        assert (one.name, one.color) == (
            other.name,
            other.color,
        ) and one.terminology.concept == other.terminology.concept
    theirs = highdicom.seg.segread(path).get_volume(combine_segments=True)
    for value in (3, 5, 8):
        their_mm, our_mm = (
            np.c_[voxels, np.ones(len(voxels))] @ affine.T
            for voxels, affine in (
                (np.argwhere(np.asarray(theirs.array) == value), theirs.affine),
                (np.argwhere(segmentation.labels == value)[:, ::-1], segmentation.geometry.affine_lps()),
            )
        )
        assert np.allclose(np.sort(their_mm[:, :3], axis=0), np.sort(our_mm[:, :3], axis=0), atol=1e-3), value


def test_patient_study_algorithm_and_slices_are_named(tmp_path, checkpoint):
    scan, opened = dicom_scan(tmp_path / "ct"), load_checkpoint(checkpoint)
    unknown = (Structure("Gewebe ärztlich", 5, (5,), (1, 200, 30)), *ABDOMEN8[2:3], *ABDOMEN8[7:])
    write_dicom_seg(drawn(read_volume(scan).geometry, unknown), scan, opened, tmp_path / "a.dcm")
    found = pydicom.dcmread(tmp_path / "a.dcm")
    assert str(found.PatientName) == "Müller^Jörg" and found.PatientID == "P 7"
    assert found.StudyInstanceUID == "1.2.826.0.1.6" and found.FrameOfReferenceUID == "1.2.826.0.1.7"
    assert found.SeriesNumber == 1003 and found.SeriesInstanceUID != "1.2.826.0.1.8"
    (series,) = found.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "1.2.826.0.1.8" and len(series.ReferencedInstanceSequence) == 10
    frames = found.PerFrameFunctionalGroupsSequence
    sources = [one.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for one in frames]
    assert sorted(sources) == [f"1.2.826.0.1.5.{number}" for number in (2, 3, 4, 4, 7)]
    (algorithm,) = found.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
    assert found.SegmentSequence[0].SegmentAlgorithmType == "AUTOMATIC"
    assert algorithm.AlgorithmName == opened.card.title and opened.sha256 in algorithm.AlgorithmParameters
    assert [one.SegmentLabel for one in found.SegmentSequence] == ["Gewebe ärztlich", "left kidney", "stomach"]
    assert found.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    read = read_segmentation(tmp_path / "a.dcm").structures[0]
    assert read.name == "Gewebe ärztlich" and read.terminology is None and read.color == (1, 200, 30)


def test_an_empty_result_a_multi_frame_scan_and_a_resampled_one(tmp_path, checkpoint):
    opened = load_checkpoint(checkpoint)
    scan = dicom_scan(tmp_path / "ct")
    geometry = read_volume(scan).geometry
    empty = Segmentation(np.zeros(geometry.shape, np.uint8), geometry, ABDOMEN8[:2])
    write_dicom_seg(empty, scan, opened, tmp_path / "empty.dcm")
    read = read_segmentation(tmp_path / "empty.dcm", grid=geometry)
    assert read.geometry == geometry and not read.labels.any() and len(read.structures) == 2
    hu, _ = blobs(0)
    order = np.random.default_rng(1).permutation(len(hu))
    many = write_dicom(tmp_path / "many" / "frames.dcm", enhanced_elements(hu, order.tolist()) | IDENTITY)
    segmentation = drawn(read_volume(many).geometry)
    write_dicom_seg(segmentation, many, opened, tmp_path / "many.dcm")
    read = read_segmentation(tmp_path / "many.dcm", grid=segmentation.geometry)
    assert np.array_equal(read.labels, segmentation.labels) and read.geometry == segmentation.geometry
    (scan / "004.dcm").unlink()
    resampled = read_volume(scan, resample=True).geometry
    write_dicom_seg(drawn(resampled), scan, opened, tmp_path / "resampled.dcm", resample=True)
    read = read_segmentation(tmp_path / "resampled.dcm", grid=resampled)
    assert np.array_equal(read.labels, drawn(resampled).labels) and read.geometry.is_close(resampled, 1e-4)


def test_a_scan_that_lacks_what_a_segmentation_refers_to_is_refused(tmp_path, checkpoint):
    for tag, name in (((0x20, 0x52), "FrameOfReferenceUID"), ((0x20, 0xD), "StudyInstanceUID")):
        scan = dicom_scan(tmp_path / name, leave_out=(tag,))
        with pytest.raises(InputError, match=f"has no {name}"):
            write_dicom_seg(drawn(read_volume(scan).geometry), scan, load_checkpoint(checkpoint), tmp_path / "a.dcm")
    hu, _ = blobs(0)
    for part in ((0, 5), (5, 10)):
        elements = enhanced_elements(hu, range(*part)) | IDENTITY
        write_dicom(tmp_path / "parts" / f"{part[0]}.dcm", elements)
    geometry = read_volume(tmp_path / "parts").geometry
    with pytest.raises(InputError, match="2 multi-frame files"):
        write_dicom_seg(drawn(geometry), tmp_path / "parts", load_checkpoint(checkpoint), tmp_path / "a.dcm")
    assert not (tmp_path / "a.dcm").exists()


def test_the_command_writes_all_of_them_and_never_over_other_files(tmp_path, checkpoint, scan):
    ct, out = dicom_scan(tmp_path / "ct"), tmp_path / "out"
    command = ("segment", ct, "--checkpoint", checkpoint, "--output", out, "--dicom-seg", "--split", "--nifti")
    done = unetseg_here(*command)
    assert done.returncode == 0, done.stderr
    assert "ct_structures (3 files)" in done.stdout
    parts = {f"ct_structures/{name}.nii.gz" for name in ("aorta", "gallbladder", "left_kidney")}
    assert tree(out) == parts | {"ct.seg.nrrd", "ct.nii.gz", "ct.dcm", ".unetseg.json", "ct_structures"}
    whole = read_segmentation(out / "ct.seg.nrrd")
    assert whole.labels.any()
    for same in ("ct.dcm", "ct_structures"):
        found = read_segmentation(out / same, grid=whole.geometry)
        assert np.array_equal(found.labels, whole.labels), same
    (out / "ct.dcm").write_bytes(b"of others")
    refused(unetseg_here(*command), "ct.dcm", "was changed")
    refused(unetseg_here("segment", scan, "--checkpoint", checkpoint, "--output", out, "--dicom-seg"), "no DICOM scan")
    done = unetseg_here("segment", ct, scan, "--checkpoint", checkpoint, "--output", tmp_path / "two", "--dicom-seg")
    assert done.returncode == 1 and "no DICOM scan" in done.stderr and (tmp_path / "two" / "ct.dcm").exists()
    assert unetseg_here(*command[:6], "--skip-existing", "--split").stdout.startswith("1 of 1 scans have results")


def test_only_some_structures_in_all_results(tmp_path, checkpoint, scan):
    command = ("segment", scan, "--checkpoint", checkpoint, "--output")
    everything, some = tmp_path / "all", tmp_path / "some"
    assert unetseg_here(*command, everything).returncode == 0
    done = unetseg_here(*command, some, "--structures", "Gall bladder", "--nifti", "--split")
    assert done.returncode == 0, done.stderr
    name = scan.name.removesuffix(".nii.gz")
    whole, part = (read_segmentation(folder / f"{name}.seg.nrrd") for folder in (everything, some))
    assert [one.name for one in part.structures] == ["gallbladder"]
    assert np.array_equal(part.mask(1), whole.mask(2)) and whole.mask(1).any()
    assert set(np.unique(read_image(some / f"{name}.nii.gz")[0])) == {0, 2}
    assert {path for path in tree(some) if "structures/" in path} == {f"{name}_structures/gallbladder.nii.gz"}
    refused(
        unetseg_here(*command, some, "--structures", "gallblader"), "did you mean gallbladder?", "aorta, gallbladder"
    )
    with pytest.raises(InputError, match="No structure is named"):
        named_structures(" , ", ABDOMEN8)
    assert [one.name for one in named_structures("Kidney (L), aorta", ABDOMEN8)] == ["aorta", "left kidney"]
    twins = (Structure("Fat", 1, (1,), (1, 1, 1)), Structure("fat", 2, (2,), (2, 2, 2)))
    assert named_structures("fat", twins) == twins


def test_the_probability_of_a_structure_is_a_volume_on_the_scans_grid(tmp_path, checkpoint, scan):
    out = tmp_path / "out"
    done = unetseg_here(
        "segment", scan, "--checkpoint", checkpoint, "--output", out, "--probability", "left kidney,aorta"
    )
    assert done.returncode == 0, done.stderr
    labels = read_segmentation(out / "scan.seg.nrrd").labels
    for name, index in (("aorta", 1), ("left_kidney", 3)):
        percent, geometry = read_image(out / f"scan_{name}_probability.nii.gz")
        assert geometry.is_close(read_volume(scan).geometry) and percent.dtype == np.uint8 and percent.max() <= 100
        assert (labels[percent > 51] == index).all() and percent[labels == index].mean() > percent[
            labels != index
        ].mean()
    refused(unetseg_here("segment", scan, "--output", out, "--probability", "livr"), "did you mean liver?")


def test_file_names_are_safe_and_different():
    names = ["left kidney", "Left_Kidney", "a/b\\c:d", "..", "CON", "foie gauche é", "肝", "x" * 300]
    made = safe_file_names(names)
    assert made[:4] == ["left_kidney", "Left_Kidney_2", "a_b_c_d", "structure"] and made[4] == "CON_"
    assert made[5:7] == ["foie_gauche_é", "肝"] and len(made[7]) == 60 and len({one.casefold() for one in made}) == 8


def test_without_highdicom_one_sentence_says_how_to_install_it(tmp_path, checkpoint, scan):
    hide = (
        "import sys; sys.modules['highdicom'] = None; from unetseg.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = ("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / "out", "--dicom-seg")
    done = subprocess.run(
        [sys.executable, "-c", hide, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
    )
    refused(done, "pip install")
    assert not (tmp_path / "out").exists()
