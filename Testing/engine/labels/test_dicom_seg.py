"""DICOM segmentations: segments and positions as they are, whatever the encoding; or one sentence that says what is wrong."""

import zlib
from dataclasses import replace

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_reading import read_volume
from UNetSegmenterLib.engine.io.volume import SeriesIdentity, Volume
from UNetSegmenterLib.engine.labels.dicom_references import check_same_patient_space
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import is_label_map, read_segmentation
from UNetSegmenterLib.engine.labels.structures import known_structure

from ..dicom_files import RLE, rle, write_dicom, write_slices
from ..dicom_label_files import (
    FRAME,
    KIDNEY,
    LEFT,
    LIVER,
    SERIES,
    binary_frames,
    packed,
    seg_elements,
    segment,
    write_seg,
)

STRAIGHT = Geometry((9, 11, 7), (5.0, 3.0, 2.5), (10.0, -20.0, 30.0))
TURNED = replace(STRAIGHT, direction=((0.0, -0.6, 0.8), (-1.0, 0.0, 0.0), (0.0, -0.8, -0.6)))
REVERSED = replace(STRAIGHT, direction=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)))
TWO = [segment(1, "liver", LIVER), segment(2, "Spleen")]
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"


def organs():
    labels = np.zeros(STRAIGHT.shape, np.uint8)
    labels[2:7, 2:6, 1:4], labels[3:5, 7:10, 4:7] = 1, 2
    return labels


def positions(segmentation, index):
    """LPS positions of the voxels of a structure, sorted, in hundredths of a mm."""
    voxels = np.argwhere(segmentation.mask(index))
    lps = np.c_[voxels[:, ::-1], np.ones(len(voxels))] @ segmentation.geometry.affine_lps().T
    return sorted(map(tuple, np.rint(lps[:, :3] * 100).astype(int).tolist()))


@pytest.mark.parametrize("grid", [STRAIGHT, TURNED, REVERSED])
@pytest.mark.parametrize("own_groups", [False, True])
def test_every_voxel_is_where_it_was_drawn(tmp_path, grid, own_groups):
    """77 pixels per frame: no frame but the first begins with a byte; the frames lie in disorder, empty ones are missing."""
    frames = binary_frames(organs())
    np.random.default_rng(3).shuffle(frames)
    read = read_segmentation(write_seg(tmp_path / "a.dcm", grid, frames, TWO, own_groups=own_groups))
    drawn = Segmentation(organs(), grid, read.structures)
    assert [one.name for one in read.structures] == ["liver", "Spleen"] and read.geometry.shape[0] == 5
    assert all(positions(read, index) == positions(drawn, index) for index in (1, 2))
    on_grid = read_segmentation(tmp_path / "a.dcm", grid=grid)
    flipped = on_grid.geometry.shift_mm(grid) > 1
    assert on_grid.geometry.shape == grid.shape and flipped == (grid is REVERSED)
    assert np.array_equal(on_grid.labels[::-1] if flipped else on_grid.labels, organs())


def test_a_reference_of_some_frames_counts_what_the_prediction_draws_outside_of_them(tmp_path):
    reference = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, binary_frames(organs()), TWO))
    labels = organs()
    labels[8] = 1
    prediction = Segmentation(labels, STRAIGHT, (known_structure("liver", 1, 1), known_structure("spleen", 2, 2)))
    reference = reference.with_known_grid(prediction.geometry)
    assert reference.geometry == STRAIGHT
    liver, spleen = compare(prediction, reference).rows
    assert liver.measures.dice == pytest.approx(2 * 60 / (60 + 60 + 77)) and spleen.measures.dice == 1
    far = replace(STRAIGHT, origin_lps=(9000.0, 0.0, 0.0))
    assert reference.with_known_grid(far).geometry == STRAIGHT, "a grid elsewhere is not reached for"


def test_segments_that_overlap_keep_their_voxels(tmp_path):
    one, two, three = (np.zeros(STRAIGHT.shape[1:], bool) for _ in range(3))
    one[1:8, 1:6], two[4:10, 2:5], three[5:7] = True, True, True
    frames = [(4, 3, three), (4, 1, one), (4, 2, two), (6, 1, one)]
    read = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, frames, [*TWO, segment(3, "tumor")]))
    assert [np.array_equal(read.mask(i)[0], mask) for i, mask in ((1, one), (2, two), (3, three))] == [True] * 3
    assert read.labels[0, 5, 2] == 3 and read.labels[0, 4, 2] == 2 and read.labels[0, 1, 1] == 1, (
        "the later one is on top"
    )
    assert read.overlap_ml() == pytest.approx(0.0375 * np.count_nonzero(one & two | one & three | two & three))
    grown = read.with_known_grid(STRAIGHT)
    assert np.array_equal(grown.mask(1)[4], one) and np.array_equal(grown.mask(1)[6], one)


@pytest.mark.parametrize("bits", [8, 16])
def test_label_maps_and_their_encodings(tmp_path, bits):
    labels = organs()
    segments = [segment(1, "liver"), segment(300 if bits == 16 else 2, "spleen")]
    values = np.where(labels == 2, 300, labels.astype(int)) if bits == 16 else labels
    frames = [(k, 0, part) for k, part in enumerate(values)]
    options = {"kind": "LABELMAP", "bits": bits}
    plain = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, frames, segments, **options))
    assert np.array_equal(plain.labels, labels) and plain.geometry == STRAIGHT
    assert plain.structures[1].values == (300 if bits == 16 else 2,)
    padded = [(k, 0, np.where(part == 0, 200, part)) for k, part in enumerate(values)]
    options_of_padded = options | {"change": with_element((0x28, 0x120), ("US", 200))}
    write_seg(tmp_path / "padded.dcm", STRAIGHT, padded, segments, **options_of_padded)
    assert np.array_equal(read_segmentation(tmp_path / "padded.dcm").labels, labels)

    def with_parts(encode):
        def change(elements):
            elements[0x7FE0, 0x10] = ("OB", [encode(part.astype(f"<u{bits // 8}")) for part in values])

        return change

    deflated = with_parts(lambda part: zlib.compress(part.tobytes(), wbits=-15))
    write_seg(tmp_path / "b.dcm", STRAIGHT, frames, segments, syntax=DEFLATED_FRAMES, change=deflated, **options)
    assert np.array_equal(read_segmentation(tmp_path / "b.dcm").labels, labels)
    if bits == 16:
        write_seg(tmp_path / "c.dcm", STRAIGHT, frames, segments, syntax=RLE, change=with_parts(rle), **options)
        assert np.array_equal(read_segmentation(tmp_path / "c.dcm").labels, labels)


def test_deflated_frames_of_single_bits(tmp_path):
    frames = binary_frames(organs())

    def change(elements):
        elements[0x7FE0, 0x10] = ("OB", [zlib.compress(packed([mask]), wbits=-15) for _, _, mask in frames])

    write_seg(tmp_path / "a.dcm", STRAIGHT, frames, TWO, syntax=DEFLATED_FRAMES, change=change)
    assert np.array_equal(read_segmentation(tmp_path / "a.dcm", grid=STRAIGHT).labels, organs())


def test_one_segment_may_be_named_once_for_all_frames_and_a_code_may_be_long(tmp_path):
    long = {(8, 0x119): ("UC", "90071000112345678"), (8, 0x102): ("SH", "SCT"), (8, 0x104): ("LO", "Something rare")}
    rare = segment(1, "rare", LIVER) | {(0x62, 0xF): ("SQ", [long])}

    def change(elements):
        for group in elements[0x5200, 0x9230][1]:
            del group[0x62, 0xA]
        elements[0x5200, 0x9229][1][0][0x62, 0xA] = ("SQ", [{(0x62, 0xB): ("US", 1)}])

    frames = [(k, 1, organs()[k] == 1) for k in (2, 3)]
    read = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, frames, [rare], change=change), grid=STRAIGHT)
    assert np.array_equal(read.mask(1)[2:4], organs()[2:4] == 1)
    assert read.structures[0].terminology.type.value == "90071000112345678"


def test_fractions_count_from_one_half_on_and_the_user_is_told(tmp_path):
    values = np.zeros(STRAIGHT.shape[1:], np.uint8)
    values[0, :4] = 49, 50, 51, 100
    path = write_seg(
        tmp_path / "a.dcm", STRAIGHT, [(0, 1, values), (1, 1, values)], TWO[:1], kind="FRACTIONAL", bits=8,
        change=lambda elements: elements.update({(0x62, 0xE): ("US", 100)}),
    )  # fmt: skip
    read = read_segmentation(path)
    assert read.labels[0, 0, :5].tolist() == [0, 1, 1, 1, 0] and "one half" in read.notes[0]


@pytest.mark.parametrize(("there", "distance"), [((2, 3, 7), 5.0), ((0, 2, 5), 5.0), ((1, 5), 20.0)])
def test_the_slice_distance_of_a_file_that_gives_none(tmp_path, there, distance):
    mask = np.ones(STRAIGHT.shape[1:], bool)
    path = write_seg(tmp_path / "a.dcm", STRAIGHT, [(k, 1, mask) for k in there], TWO, between=False)
    assert read_segmentation(path).geometry.spacing_mm[0] == distance
    known = read_segmentation(path, grid=STRAIGHT)
    assert known.geometry == STRAIGHT and np.flatnonzero(known.labels.any(axis=(1, 2))).tolist() == list(there)


def test_names_codes_sides_and_colours(tmp_path):
    orange = (41661, 41167, 40792)  # (221, 130, 101), the liver's colour in Slicer
    segments = [
        segment(1, "Leber groß", LIVER, lab=orange),
        segment(2, "Kidney", KIDNEY, LEFT),
        segment(3, "kidney right", KIDNEY, ("24028007", "Right")),
        segment(4, "something", ("85756007", "Tissue")),
        segment(5, "", ("15825003", "Aorta")),
    ]
    read = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, binary_frames(organs()), segments))
    assert [one.name for one in read.structures] == ["Leber groß", "left Kidney", "kidney right", "something", "Aorta"]
    assert np.abs(np.subtract(read.structures[0].color, (221, 130, 101))).max() <= 1
    left, right, unknown = read.structures[1:4]
    assert left.terminology.concept == known_structure("left kidney", 1, 1).terminology.concept
    assert left.terminology.concept != right.terminology.concept and unknown.terminology is None
    declared = (known_structure("aorta", 1, 52), known_structure("liver", 2, 5), known_structure("left kidney", 3, 3))
    mapped = read_segmentation(tmp_path / "a.dcm", declared, grid=STRAIGHT)
    assert [one.name for one in mapped.structures[:3]] == ["aorta", "liver", "left kidney"]
    assert np.array_equal(mapped.mask(2), organs() == 1) and np.array_equal(mapped.mask(3), organs() == 2)
    with pytest.raises(InputError, match="not declared: kidney right, something"):
        read_segmentation(tmp_path / "a.dcm", declared, only_declared=True)


def without(*tags):
    def change(elements):
        for tag in tags:
            del elements[tag]

    return change


def with_element(tag, value):
    return lambda elements: elements.update({tag: value})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (without((0x20, 0x52)), "frame of reference"),
        (without((0x62, 2)), "describes no segment"),
        (without((0x62, 1)), 'type ""'),
        (with_element((0x62, 2), ("SQ", [segment(1, "liver")])), "segment 2, which it does not describe"),
        (with_element((0x62, 2), ("SQ", [segment(1, "a"), segment(1, "b")])), "two segments of the number 1"),
        (with_element((0x62, 2), ("SQ", [segment(1, "liver"), segment(2, "Liver")])), "one structure"),
        (with_element((0x7FE0, 0x10), ("OB", bytes(20))), "cut off"),
        (with_element((0x28, 8), ("IS", "3")), "announces 3 frames and describes 7"),
        (with_element((0x28, 0x100), ("US", 32)), "32 bits"),
        (without((0x7FE0, 0x10)), "1 bits|no pixels|pixels"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(tmp_path, change, what):
    path = write_seg(tmp_path / "a.dcm", STRAIGHT, binary_frames(organs()), TWO, change=change)
    with pytest.raises(InputError, match=what):
        read_segmentation(path)


def test_frames_on_no_even_grid_and_a_single_one(tmp_path):
    elements = seg_elements(STRAIGHT, [(k, 1, organs()[3] == 1) for k in (0, 1, 3)], TWO)
    for group, z in zip(elements[0x5200, 0x9230][1], (0.0, 5.0, 11.7), strict=True):
        group[0x20, 0x9113] = ("SQ", [{(0x20, 0x32): ("DS", f"10\\-20\\{z}")}])
    with pytest.raises(InputError, match="no even grid"):
        read_segmentation(write_dicom(tmp_path / "a.dcm", elements))
    one = read_segmentation(write_seg(tmp_path / "b.dcm", STRAIGHT, [(3, 1, organs()[3] == 1)], TWO, between=False))
    assert one.geometry.shape == (1, 11, 7) and one.geometry.spacing_mm[0] == 5.0, "the thickness"


def series(folder, grid=STRAIGHT, **more):
    hu = np.random.default_rng(0).integers(-900, 900, grid.shape).astype(np.int16)

    def change(number, elements):
        elements[0x28, 0x30] = ("DS", "3\\2.5")
        elements[0x20, 0x52] = ("UI", FRAME)

    return write_slices(folder, hu, [grid.position_lps_mm((k, 0, 0)) for k in range(len(hu))], change, **more)


@pytest.mark.parametrize("place", ["ct", "ct/seg", "seg", ""])
def test_the_series_beside_a_segmentation_says_where_its_grid_ends(tmp_path, place):
    scan = series(tmp_path / "ct", series=SERIES)
    (tmp_path / "other").mkdir()
    path = write_seg(tmp_path / place / "seg.dcm", STRAIGHT, binary_frames(organs()), TWO)
    read = read_segmentation(path)
    assert read.geometry.is_close(read_volume(scan).geometry, 1e-6) and np.array_equal(read.labels, organs())
    assert not is_label_map(path)


def test_a_folder_of_one_segmentation_is_that_and_of_several_is_refused(tmp_path):
    for name in ("a", "b"):
        write_seg(tmp_path / name / "seg.dcm", STRAIGHT, binary_frames(organs()), TWO)
    assert np.array_equal(read_segmentation(tmp_path / "a", grid=STRAIGHT).labels, organs())
    write_seg(tmp_path / "a" / "more.dcm", STRAIGHT, binary_frames(organs()), TWO)
    with pytest.raises(InputError, match="2 DICOM segmentations"):
        read_segmentation(tmp_path / "a")
    with pytest.raises(InputError, match="holds labels and no scan"):
        read_volume(tmp_path / "b")


def test_another_frame_of_reference_than_the_scan_is_refused(tmp_path):
    read = read_segmentation(write_seg(tmp_path / "a.dcm", STRAIGHT, binary_frames(organs()), TWO))
    hu = np.zeros(STRAIGHT.shape, np.int16)
    for identity in (None, SeriesIdentity("1.7", FRAME), SeriesIdentity(SERIES, "1.8"), SeriesIdentity("1.7", "")):
        check_same_patient_space(read, Volume(hu, STRAIGHT, series=identity))
    with pytest.raises(InputError, match="another frame of reference"):
        check_same_patient_space(read, Volume(hu, STRAIGHT, series=SeriesIdentity("1.7", "1.8")))
    assert read_volume(series(tmp_path / "ct", series=SERIES)).series == SeriesIdentity(SERIES, FRAME, "CT")
