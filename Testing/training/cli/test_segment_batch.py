"""Many scans in one command: folders, lists, DICOM; a bad one ends nothing; two of one name keep apart."""

import shutil

import numpy as np
import pytest
from unetseg.cli.scan_paths import find_scans
from unetseg.output_folder import Outputs, claimed
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.image_writing import write_image
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation

from ...engine.dicom_series import write_series
from ..command import refused, tree, unetseg_here
from ..datasets import GRID, STRUCTURES, write_checkpoint, write_dataset, write_scan


def results(folder):
    return {name for name in tree(folder) if name.endswith(".seg.nrrd")}


def test_one_bad_scan_does_not_end_the_batch(tmp_path, checkpoint):
    whole, bad, other = (write_scan(tmp_path / f"{letter}.nii.gz") for letter in "abc")
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    flat = tmp_path / "flat.nrrd"
    write_image(np.full(GRID.shape, 40, np.int16), GRID, flat)
    missing, out = tmp_path / "nobody.nii.gz", tmp_path / "out"
    done = unetseg_here("segment", whole, bad, flat, missing, other, "--checkpoint", checkpoint, "--output", out)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert results(out) == {"a.seg.nrrd", "c.seg.nrrd"}
    none = unetseg_here("segment", bad, missing, "--checkpoint", checkpoint, "--output", tmp_path / "none")
    assert none.returncode == 2 and not (tmp_path / "none").exists(), "nothing was done"
    last = done.stderr.splitlines()[-4:]
    assert "3 of 5 scans could not be segmented" in last[0]
    reasons = (("b.nii.gz", "cut off"), ("flat.nrrd", "every voxel"), ("nobody", "does not exist"))
    for line, words in zip(last[1:], reasons, strict=True):
        assert all(word in line for word in words), line
    refused(
        unetseg_here("segment", bad, "--checkpoint", checkpoint, "--output", tmp_path / "alone"), "b.nii.gz", "cut off"
    )
    assert not (tmp_path / "alone").exists()


def test_a_folder_of_nnunet_and_what_is_there_already(tmp_path, checkpoint):
    dataset, out = write_dataset(tmp_path / "set", cases=3), tmp_path / "out"
    command = ("segment", dataset / "imagesTr", "--checkpoint", checkpoint, "--output", out, "--skip-existing")
    done = unetseg_here(*command)
    assert done.returncode == 0, done.stderr
    assert results(out) == {"case0.seg.nrrd", "case1.seg.nrrd", "case2.seg.nrrd"}
    (out / "case1.seg.nrrd").unlink()
    before = (out / "case0.seg.nrrd").stat().st_mtime_ns
    done = unetseg_here(*command)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 scans" in done.stdout and "case1.seg.nrrd: 10 slices" in done.stdout
    assert (out / "case0.seg.nrrd").stat().st_mtime_ns == before
    assert [scan.name for scan in find_scans([dataset])] == ["case0", "case1", "case2"], "its images, not its labels"
    assert [scan.name for scan in find_scans([dataset / "imagesTr" / "case1_0000.nii.gz"])] == ["case1"]


def test_two_scans_of_one_name_keep_apart(tmp_path, checkpoint):
    scans = [write_scan(tmp_path / place / "ct.nii.gz", seed) for seed, place in enumerate(("a/1", "b/1", "b/2"))]
    done = unetseg_here("segment", *scans, "--checkpoint", checkpoint, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert results(tmp_path / "out") == {f"{place}/ct.seg.nrrd" for place in ("a/1", "b/1", "b/2")}
    labels = [read_segmentation(tmp_path / "out" / name).labels for name in sorted(results(tmp_path / "out"))]
    assert not np.array_equal(labels[0], labels[1])


def names(*given):
    return [scan.name for scan in find_scans(given)]


def test_names_of_results(tmp_path):
    for name in (
        "a/CT.nii.gz",
        "b/ct.nii.gz",
        "c/x.nii.gz",
        "c/x.nrrd",
        "n/p_0000.nii.gz",
        "m/s_0000.nii",
        "m/s_0001.nii",
    ):
        write_scan(tmp_path / name)
    assert names(tmp_path / "a" / "CT.nii.gz", tmp_path / "b" / "ct.nii.gz") == ["a/CT", "b/ct"], "one disk, one name"
    assert names(tmp_path / "c") == ["x.nii.gz", "x.nrrd"]
    assert names(tmp_path / "n") == ["p"]
    assert names(tmp_path / "m") == ["s_0000", "s_0001"], "numbers of scans, not of channels"
    with pytest.raises(InputError, match="given 2 times"):
        names(tmp_path / "n", tmp_path / "n" / ".." / "n" / "p_0000.nii.gz")


def test_folders_of_dicom_series_are_several_scans_and_one_is_one(tmp_path):
    for patient in ("p1", "p2"):
        (tmp_path / "dicom" / patient).mkdir(parents=True)
        write_series(tmp_path / "dicom" / patient / "CT", [2.5 * i for i in range(5)], series=f"1.2.{patient[1]}")
    assert names(tmp_path / "dicom") == ["p1/CT", "p2/CT"]
    assert names(tmp_path / "dicom" / "p1" / "CT") == ["CT"]


def test_a_folder_gives_its_scans_and_neither_labels_nor_results(tmp_path, checkpoint):
    for name in ("a_image.nii.gz", "a_label.nii.gz", ".hidden.nii.gz", "._a_image.nii.gz", "notes.txt"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(b"")
    write_scan(tmp_path / "in" / "a_image.nii.gz")
    shutil.copy(tmp_path / "in" / "a_image.nii.gz", tmp_path / "in" / "b.nii.gz")
    assert names(tmp_path / "in") == ["a_image", "b"]
    command = ("segment", tmp_path / "in", "--checkpoint", checkpoint, "--output", tmp_path / "in" / "out", "--nifti")
    assert unetseg_here(*command).returncode == 0
    assert names(tmp_path / "in") == ["a_image", "b"], "what was written below them is no scan"
    for folder, words in (("empty", "holds no scan"), ("labels only", "only segmentations")):
        (tmp_path / folder).mkdir()
        if folder == "labels only":
            (tmp_path / folder / "a_seg.nii.gz").write_bytes(b"")
        with pytest.raises(InputError, match=words):
            find_scans([tmp_path / folder])


def test_a_list_of_scans(tmp_path, monkeypatch):
    for name in ("lists/a.nii.gz", "work/b.nii.gz", "work/more/c.nrrd"):
        write_scan(tmp_path / name)
    monkeypatch.chdir(tmp_path / "work")
    text = f"# some\na.nii.gz\nb.nii.gz\n\n{tmp_path}/work/more\nnobody.nii.gz\n"
    (tmp_path / "lists" / "scans.txt").write_text(text)
    found = find_scans([tmp_path / "lists" / "scans.txt"])
    assert [scan.name for scan in found] == ["a", "b", "c", "nobody"]
    assert found[0].path == tmp_path / "lists" / "a.nii.gz", "beside the list"
    assert [scan.path.exists() for scan in found] == [True, True, True, False]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(InputError, match="lists no scan"):
        find_scans([tmp_path / "empty.txt"])


def test_a_list_names_its_line_and_what_is_no_list_says_so(tmp_path, checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_scan(tmp_path / "a.nii.gz")
    for name, text in (("note", "call Ann"), ("list", "# scans\na.nii.gz\ngone.nii.gz\n"), ("bad", "\nnote.txt")):
        (tmp_path / f"{name}.txt").write_text(text)
    options = ("--checkpoint", checkpoint, "--output", "out")
    refused(
        unetseg_here("segment", "note.txt", *options),
        "note.txt lists no scan",
        "line 1 is “call Ann”",
        "read as a list",
    )
    refused(unetseg_here("segment", "bad.txt", *options), "bad.txt, line 2: note.txt is not an image")
    done = unetseg_here("segment", "list.txt", *options)
    assert done.returncode == 1 and "list.txt, line 3: gone.nii.gz does not exist" in done.stderr


def test_a_result_of_another_scan_is_neither_taken_for_this_ones_nor_replaced(tmp_path, checkpoint):
    """A loop over folders of scans that are all called alike; the same scan in another folder is the same scan."""
    first, second = (write_scan(tmp_path / place / "ct.nii.gz", seed) for seed, place in enumerate("ab"))
    options = ("--checkpoint", checkpoint, "--output", tmp_path / "out")
    assert unetseg_here("segment", first, *options).returncode == 0
    before = (tmp_path / "out" / "ct.seg.nrrd").read_bytes()
    for more in ((), ("--skip-existing",)):
        refused(unetseg_here("segment", second, *options, *more), "result of another scan", str(first), "--overwrite")
    assert (tmp_path / "out" / "ct.seg.nrrd").read_bytes() == before
    (tmp_path / "c").mkdir()
    moved = first.rename(tmp_path / "c" / "ct.nii.gz")
    done = unetseg_here("segment", moved, *options, "--skip-existing")
    assert done.returncode == 0 and "1 of 1 scans" in done.stdout, done.stderr
    done = unetseg_here("segment", second, *options, "--skip-existing", "--overwrite")
    assert done.returncode == 0 and (tmp_path / "out" / "ct.seg.nrrd").read_bytes() != before, done.stderr


def test_results_of_another_network_are_not_taken_for_this_ones(tmp_path, checkpoint):
    scan, out = write_scan(tmp_path / "ct.nii.gz"), tmp_path / "out"
    other = write_checkpoint(tmp_path / "other.pt", seed=5)
    command = ("segment", scan, "--output", out, "--skip-existing", "--checkpoint")
    first = unetseg_here(*command, checkpoint)
    assert first.returncode == 0, first.stderr
    moved = shutil.copy(checkpoint, tmp_path / "renamed.pt")
    assert "1 of 1 scans have results" in unetseg_here(*command, moved).stdout
    before = (out / "ct.seg.nrrd").read_bytes()
    for files in ((other,), (checkpoint, other), (checkpoint, "--precision", "float32")):
        done = unetseg_here(*command, *files)
        assert done.returncode == 0 and "have results" not in done.stdout, done.stderr
    assert (out / "ct.seg.nrrd").read_bytes() != before


def test_results_with_and_without_postprocessing_are_not_taken_for_each_other(tmp_path):
    steps = tuple({"remove_components_smaller_than_ml": 1e6, "of": [index]} for index in (1, 2))
    checkpoint = write_checkpoint(tmp_path / "steps.pt", structures=STRUCTURES, postprocessing=steps)
    scan, out = write_scan(tmp_path / "ct.nii.gz"), tmp_path / "out"
    command = ("segment", scan, "--checkpoint", checkpoint, "--output", out, "--skip-existing")
    done = unetseg_here(*command)
    assert done.returncode == 0, done.stderr
    assert "Postprocessing changed" in done.stdout and "removed" in done.stdout
    with_steps = read_segmentation(out / "ct.seg.nrrd")
    assert with_steps.postprocessing
    assert "1 of 1 scans have results" in unetseg_here(*command).stdout
    for _ in range(2):
        done = unetseg_here(*command, "--no-postprocessing")
        assert done.returncode == 0, done.stderr
    assert "1 of 1 scans have results" in done.stdout
    without = read_segmentation(out / "ct.seg.nrrd")
    assert not without.postprocessing
    removed = round(sum(one.removed_ml for one in with_steps.postprocessing.values()) / without.geometry.voxel_ml)
    assert (without.labels > 0).sum() - (with_steps.labels > 0).sum() == removed > 0
    assert unetseg_here(*command).returncode == 0
    assert np.array_equal(read_segmentation(out / "ct.seg.nrrd").labels, with_steps.labels)


def test_a_result_corrected_while_the_batch_goes_on_is_not_the_batchs(tmp_path):
    """Neither where the batch ends well nor where it is killed."""
    source = write_scan(tmp_path / "ct.nii.gz")
    for number, ends in enumerate((True, False)):
        outputs = Outputs(tmp_path / f"out{number}", ("a.seg.nrrd", "b.seg.nrrd"))
        run = claimed(outputs, "segment", overwrite=False, alone=False)
        output = run.__enter__()
        (output.path / "a.seg.nrrd").write_text("ours")
        output.record(["a.seg.nrrd"], source)
        (output.path / "a.seg.nrrd").write_text("corrected by hand")
        if ends:
            run.__exit__(None, None, None)
        with (
            pytest.raises(InputError, match="was changed since"),
            claimed(outputs, "segment", overwrite=False, alone=False),
        ):
            pass
