"""The answers of page 1 are what the page's commands print."""

from __future__ import annotations

import numpy as np
import pytest

from .pages import answers, cells, commands, run


@pytest.fixture(scope="module")
def printed(student):
    return run(commands(1)[1], student)


def test_how_much_of_the_patient_is_in_the_scan(printed):
    _, column_mm, _, row_mm, *_ = ["", *cells(printed, "spacing")]
    distance_mm = cells(printed, "slice distance")[0]
    assert f"64 x {column_mm} mm = {64 * float(row_mm):.0f} mm" in answers(1)[0]
    assert f"24 x {distance_mm} mm = {24 * float(distance_mm):.0f} mm" in answers(1)[0]
    assert cells(printed, "field of view")[:5] == ["239", "x", "239", "x", "168"]


def test_voxels_of_the_aorta(student, printed):
    import SimpleITK as sitk

    label = sitk.ReadImage(str(student / "hearts" / "ct_train_1001_label.nii.gz"))
    voxel_mm3 = np.prod(label.GetSpacing())
    voxels = int((sitk.GetArrayFromImage(label) == 820).sum())
    assert f"= {voxel_mm3:.1f} mm³ = {voxel_mm3 / 1000:.4f} ml, so the aorta has {voxels} voxels" in answers(1)[1]
    ml = cells(printed, "ascending aorta")[0]
    assert f"{round(float(ml) / 0.00008, -3):,.0f}" in answers(1)[1]


def test_blood_is_above_the_window_and_the_myocardium_below(printed):
    blood = [cells(printed, name)[3] for name in ("left atrium", "left ventricle", "right atrium", "right ventricle")]
    blood += [cells(printed, name)[3] for name in ("ascending aorta", "pulmonary artery")]
    low, high = min(map(int, blood)), max(map(int, blood))
    assert low > 250 and f"({low} to {high} HU)" in answers(1)[2]
    assert f"({cells(printed, 'left ventricular myocardium')[3]})" in answers(1)[2]


def test_the_hearts_are_stored_in_five_ways(student):
    printed = run(["info", "hearts"], student)
    stored = {cells(printed, f"ct_train_{number}")[-6] for number in range(1001, 1009)}
    ways = cells(printed, "stored")
    assert "RAS" in answers(1)[3] and stored
    assert len([word for word in ways if word.isupper()]) == 5
