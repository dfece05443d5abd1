"""Slices of one size: cut about the body, padded with air, and nothing lost without a word."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from unetseg.cli.main import main
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.planning import check_plan, read_plan
from unetseg.training.preparation import prepare
from unetseg.training.slice_size import body_region
from UNetSegmenterLib.engine.errors import InputError


def prepared(hearts, folder, size=None, **options):
    prepare(
        read_dataset(hearts),
        folder,
        spacing_mm=6.0,
        window_hu=(-100.0, 500.0),
        validation=1,
        slice_size=size,
        **options,
    )
    return read_preprocessed_dataset(folder)


def test_what_stays_lies_about_the_body_and_within_the_slice():
    hu = np.full((3, 100, 80), -100, np.int16)
    hu[:, 60:80, 10:30] = 40
    assert body_region(hu, (40, 20), -100) == (slice(50, 90), slice(10, 30))
    assert body_region(hu, (70, 60), -100) == (slice(30, 100), slice(0, 60))
    assert body_region(hu, (200, 20), -100) == (slice(0, 100), slice(10, 30))
    hu[:, 98] = 40  # a table
    rows, _ = body_region(hu, (40, 20), -100)
    assert abs(rows.start - 50) <= 6
    assert body_region(np.full((3, 100, 80), -1000, np.int16), (40, 20), -1000) == (slice(30, 70), slice(30, 50))


def test_cut_slices_hold_the_same_pixels(hearts, tmp_path):
    whole, cut, padded = (
        prepared(hearts, tmp_path / name, size)
        for name, size in (("whole", None), ("cut", (30, 32)), ("padded", (64, 70)))
    )
    assert cut.images.shape[1:] == (30, 32)
    assert padded.images.shape[1:] == (64, 70)
    for mine, theirs, more in zip(whole.cases, cut.cases, padded.cases, strict=True):
        labels = mine.region(whole.labels)
        rows, columns = body_region(mine.region(whole.images), (30, 32), -100)
        assert np.array_equal(theirs.region(cut.images), mine.region(whole.images)[:, rows, columns])
        assert np.array_equal(theirs.region(cut.labels), labels[:, rows, columns])
        assert np.array_equal(more.region(padded.labels), labels)
    assert not any("cut off" in text for text in padded.fingerprint["warnings"])


def test_labels_that_are_cut_off_are_said_in_ml(hearts, tmp_path, caplog):
    whole, cut = prepared(hearts, tmp_path / "whole"), prepared(hearts, tmp_path / "cut", (16, 16))
    case, small = whole.cases[0], cut.cases[0]
    voxel_ml = case.spacing_mm[0] * 6.0**2 / 1000
    before, after = (
        np.sum(part.region(preprocessed.labels) == 3) for part, preprocessed in ((case, whole), (small, cut))
    )
    expected = f"{(before - after) * voxel_ml:.3g} ml ({100 * (1 - after / before):.2g} %) of left ventricle"
    warning = next(text for text in cut.fingerprint["warnings"] if text.startswith(case.name))
    assert before > after
    assert f"{case.name}: slices of 16 x 16 pixels cut off " in warning
    assert expected in warning
    assert warning in caplog.text


def test_size_is_part_of_the_plan(hearts, tmp_path):
    cut = prepared(hearts, tmp_path / "cut", (30, 32))
    plan = read_plan(tmp_path / "cut" / "plan.yaml")
    assert plan.slice_size == (30, 32)
    check_plan(plan, cut, "plan.yaml")
    again = prepare(read_dataset(hearts), tmp_path / "again", validation=1, plan=plan)
    assert np.array_equal(again.images, cut.images)
    with pytest.raises(InputError, match="has slice_size"):
        check_plan(dataclasses.replace(plan, slice_size=(32, 32)), cut, "plan.yaml")
    whole = prepare(read_dataset(hearts), tmp_path / "whole", validation=1, plan=plan, slice_size=(0, 0))
    assert whole.images.shape[1] > 30
    text = (tmp_path / "cut" / "plan.yaml").read_text()
    assert "slice_size: [30, 32]  # chosen" in text
    older = "".join(line for line in text.splitlines(keepends=True) if "slice_size" not in line)
    (tmp_path / "older.yaml").write_text(older)
    assert read_plan(tmp_path / "older.yaml").slice_size == (0, 0)


@pytest.mark.parametrize("text", ["192", "192,wide", "8,200", "192,256,3", "-20,40"])
def test_size_that_is_none_is_refused(hearts, tmp_path, capsys, text):
    assert main(["prepare", str(hearts), str(tmp_path / "preprocessed"), f"--size={text}"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f'--size is "{text}"' in error
    assert not (tmp_path / "preprocessed").exists()
