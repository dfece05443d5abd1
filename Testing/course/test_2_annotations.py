"""The answers of page 2 are what the page's commands print."""

from __future__ import annotations

import re
import shutil
import sqlite3

import numpy as np
import pytest

from tools.reader_agreement import agreements

from .pages import COURSE, answers, blocks, cells, commands, run, run_python, text_of


@pytest.fixture(scope="module")
def whole_set(student):
    return run(commands(2)[0], student)


def rows_of(printed, heading):
    """Structure to its values over the cases, from the table under a heading."""
    lines = printed.splitlines()
    start = next(number for number, line in enumerate(lines) if line.strip().startswith(heading))
    rows = [line.split()[1:] for line in lines[start:] if line.strip().startswith("ct_train_")][:8]
    names = (
        "myocardium",
        "left atrium",
        "left ventricle",
        "right atrium",
        "right ventricle",
        "aorta",
        "pulmonary artery",
    )
    return dict(zip(names, np.array(rows, dtype=float).T, strict=True))


def test_the_volume_of_the_aorta_varies_more_than_its_hu(whole_set):
    ml, hu = rows_of(whole_set, "volumes, ml"), rows_of(whole_set, "median HU")
    percent, sd = re.findall(r"SD (\d+)", next(line for line in whole_set.splitlines() if line.startswith("ascending")))
    assert int(percent) == round(100 * ml["aorta"].std(ddof=1) / ml["aorta"].mean())
    mean = hu["aorta"].mean()
    text = f"its standard deviation is {percent} % of the mean, that of the HU is {sd} HU of {mean:.0f}"
    assert f"{text}, which is {100 * int(sd) / mean:.0f} %" in answers(2)[0]
    right = [hu[name].std(ddof=1) for name in ("right atrium", "right ventricle", "pulmonary artery")]
    others = [hu[name].std(ddof=1) for name in ("myocardium", "left atrium", "left ventricle", "aorta")]
    assert min(right) > 75 > max(others)
    assert f"(SD {min(right):.0f} to {max(right):.0f} HU)" in answers(2)[0]


def test_chambers_have_the_same_hu(whole_set):
    noted = rows_of(whole_set, "median HU")
    for pair in (("left ventricle", "left atrium"), ("right atrium", "right ventricle")):
        first, second = (round(float(noted[name][0])) for name in pair)
        assert f"({first} and {second})" in answers(2)[1]


def test_a_pixel_costs_a_vessel_more_than_a_chamber(student):
    run_python(blocks(2, "python")[0], student)
    printed = run(commands(2)[1], student)
    ventricle, aorta, wall = (cells(printed, f"label {value}") for value in (500, 820, 205))
    assert answers(2)[2].startswith(f"{ventricle[0]} and {aorta[0]}.")
    assert f"from {ventricle[4]} to {ventricle[3]} ml, the aorta from {aorta[4]} to {aorta[3]}" in answers(2)[2]
    assert f"{wall[4]} to {wall[3]} ml, Dice {wall[0]}" in answers(2)[2]


def test_radiologists_agree_as_the_page_says():
    import SimpleITK as sitk

    files = sorted((COURSE / "radiologists").glob("radiologist-*.nii.gz"))
    masks = [sitk.GetArrayFromImage(sitk.ReadImage(str(file))).astype(bool) for file in files]
    voxels = [int(mask.sum()) for mask in masks]
    common = [int((masks[0] & mask).sum()) for mask in masks]
    assert f"| of the radiologist | {' | '.join(map(str, voxels))} |" in text_of(2)
    assert f"| in common with 1 | | {' | '.join(map(str, common[1:]))} |" in text_of(2)
    dice = [2 * both / (voxels[0] + own) for both, own in zip(common, voxels, strict=True)]
    assert f"2 x {common[1]} / ({voxels[0]} + {voxels[1]}) = **{dice[1]:.2f}**" in text_of(2)
    for number in (2, 3):
        assert f"2 x {common[number]} / ({voxels[0]} + {voxels[number]}) = {dice[number]:.2f}" in answers(2)[3]


def ring(first: int, last: int) -> str:
    """The outermost pixels of a square, as the published outlines have them: one "column,row" per line."""
    sides = range(first, last + 1)
    points = [(x, first) for x in sides] + [(last, y) for y in sides] + [(x, last) for x in sides[::-1]]
    return "\n".join(f"{x},{y}" for x, y in [*points, *((first, y) for y in sides[::-1])])


def test_agreement_is_counted_from_outlines():
    """An outline itself is outside; a hole is taken out; outlines that overlap are of one nodule, others are not."""
    database = sqlite3.connect(":memory:")
    database.executescript(
        "create table scans (id, pixel_spacing); create table zvals (scan_id, val); create table annotations (id, scan_id);"
        "create table contours (annotation_id, image_z_position, inclusion, coords);"
        "insert into scans values (1, 0.5); insert into zvals values (1, 0), (1, 2)"
    )
    outlines = [
        (1, 1, (10, 20)),
        (2, 1, (10, 20)),
        (3, 1, (10, 20)),
        (4, 1, (10, 20)),
        (4, 0, (14, 16)),
        (5, 1, (40, 50)),
    ]
    for number, included, (first, last) in outlines:
        database.execute("insert into contours values (?, 0, ?, ?)", (number, included, ring(first, last)))
    database.executemany("insert into annotations values (?, 1)", [(number,) for number in range(1, 6)])
    (diameter_mm, dice, ratio), *others = agreements(database)
    with_hole = 9 * 9 - 3 * 3
    assert not others and ratio == 81 / with_hole
    assert dice == pytest.approx((3 + 3 * 2 * with_hole / (81 + with_hole)) / 6)
    assert diameter_mm == pytest.approx((6 * (3 * 81 + with_hole) / 4 * 0.5 * 0.5 * 2 / np.pi) ** (1 / 3))


def test_a_spoilt_copy_is_named_case_by_case(student):
    shutil.copytree(student / "hearts", student / "spoilt")
    folder = student / "spoilt"
    (folder / "ct_train_1002_image.nii.gz").unlink()
    (folder / "ct_train_1003_label.nii.gz").rename(folder / "ct_train_1003_labels.nii.gz")
    shutil.copy(folder / "ct_train_1005_label.nii.gz", folder / "ct_train_1004_label.nii.gz")
    assert commands(2)[-1] == ["info", "spoilt"]
    printed = run(commands(2)[-1], student)
    assert "ct_train_1002_label.nii.gz has no image" in printed
    assert "ct_train_1003_image.nii.gz has no label" in printed
    assert "has another grid than its image" in printed and "has another grid than its image" in answers(2)[4]
    for fact in ("LPI against PIL", "origins 217 mm apart"):
        assert fact in printed and fact in answers(2)[4]


def test_a_stray_value_is_read_as_left_atrium(whole_set):
    assert "left atrium 420+421" in whole_set and "left atrium 420+421" in answers(2)[5]
