"""Label sets of every kind with names, values, colours and grids that are none, or that contradict each other."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st
from unetseg.data.layouts.detection import read_dataset
from UNetSegmenterLib.engine.evaluation.comparison import compare
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation, write_labelmap
from UNetSegmenterLib.engine.labels.structures import known_structure

from ..engine.dicom_files import Elements, write_dicom
from ..engine.dicom_label_files import binary_frames, seg_elements, segment
from ..engine.images import write_nifti
from ..engine.slicer_files import seg_nrrd
from ..training.datasets import write_dataset
from .dicom_headers import NUMBERS, TEXTS
from .harness import Bug, Tally, little_memory
from .image_headers import check_geometry

NAME = "label sets"
TRIED = (
    "label maps of any type and value, .seg.nrrd, DICOM SEG and dataset.json with entries that are none or contradict"
)
FULL, SHORT = 4_000, 40

GRID = Geometry((3, 8, 9), (5.0, 3.0, 3.0))
LABELS = np.zeros(GRID.shape, np.uint8)
LABELS[:, 2:5, 2:5], LABELS[1:, 5:7, 4:8] = 1, 2
DECLARED = (known_structure("liver", 1, (1,)), known_structure("spleen", 2, (2, 7)))
VALUES = (0, 1, 2, 3, 7, 255, 256, 65535, 65536, 2**31 - 1, 0.5, 1.0005, -1, -0.0, 1e-9, np.nan, np.inf, 1e30)
WORDS = (
    "", " ", "0", "1", "2", "3", "-1", "255", "65536", "9" * 30, "9" * 5000, "nan", "nan nan nan", "inf inf inf",
    "1e400 0 0", "1 0",
    "0.5 0.5 0.5", "-1 2 3", "liver", "Liver", "LIVER ", "left kidney", "kidney left", "ignore", "Ignore", "background",
    "a/b", "..",
    "=SUM(A1)", "<b>", "\u809d", "x" * 5000, "0 -1 0 -1 0 -1", "0 2 0 2 0 2", "9 8 7", "a:b|c:d|", "TerminologyEntry:~~~|",
    "TerminologyEntry:a~b^c~d^e^f|", "UNetSegmenter.SourceValues:0|", "UNetSegmenter.SourceValues:99999999999|",
    "UNetSegmenter.Confidence:nan|", "UNetSegmenter.SlicingAxis:up|", "UNetSegmenter.Postprocessing:x|", "coronal",
    "Reference image geometry|" + "1;" * 22 + "|x&", "Reference image geometry|" + "nan;" * 22 + "|x&",
    "Reference image geometry|1;0;0;0;0;1;0;0;0;0;1;0;0;0;0;1;0;1000000;0;1000000;0;1000000;|x&",
    "Reference image geometry|1;0;0;0;0;1;0;0;0;0;1;0;0;0;0;1;0;1e18;0;1e18;0;1e18;|x&",
    "Reference image geometry|1e300;0;0;0;0;1e300;0;0;0;0;1e300;0;0;0;0;1;0;9;0;9;0;9;|x&",
    "Reference image geometry|3;0;0;0;0;3;0;0;0;0;5;0;0;0;0;1;-999999;999999;0;7;0;2;|x&",
)  # fmt: skip
SEGMENT_KEYS = ("ID", "Name", "LabelValue", "Layer", "Extent", "Color", "Tags", "Other")
FILE_KEYS = (
    "Segmentation_ConversionParameters", "Segmentation_ReferenceImageExtentOffset", "UNetSegmenter.SlicingAxis",
    "Segmentation_MasterRepresentation", "Segment99999999999999999999_ID", "Segment_ID", "Segment0_", "key",
)  # fmt: skip


def run(tally: Tally, count: int) -> None:
    """A quarter of the cases for each kind."""
    folder = tally.folder
    with little_memory(), warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        tally.try_all(label_maps(), count // 4, lambda case: attempt_map(folder / "case.nii", case))
        tally.try_all(seg_nrrds(), count // 4, lambda case: attempt_seg(folder / "case.seg.nrrd", case))
        tally.try_all(dicom_segs(), count // 4, lambda case: attempt_dicom(folder / "case.dcm", case))
        write_dataset(folder / "blobs", cases=2)
        tally.try_all(descriptions(), count // 4, lambda case: attempt_description(folder / "blobs", case))


def use(segmentation: Segmentation, folder: Path) -> None:
    """What was read must be a segmentation: it is compared with itself, written and read again."""
    check_geometry(segmentation.geometry)
    if segmentation.labels.shape != segmentation.geometry.shape:
        raise Bug(f"labels of {segmentation.labels.shape} on a grid of {segmentation.geometry.shape}")
    indices = {structure.index for structure in segmentation.structures}
    if not set(np.unique(segmentation.labels)) <= {0, *indices}:
        raise Bug("labels of no structure")
    if segmentation.labels.size > 1_000_000:
        return
    for row in compare(segmentation, segmentation).rows:
        if row.measures and row.measures.dice not in (None, 1.0) and not np.isnan(row.measures.dice):
            raise Bug(f"a Dice of {row.measures.dice} with itself")
    write_seg_nrrd(segmentation, folder / "again.seg.nrrd")
    again = read_segmentation(folder / "again.seg.nrrd")
    for structure in segmentation.structures:
        if np.count_nonzero(segmentation.mask(structure.index)) and not any(
            np.array_equal(segmentation.mask(structure.index), again.mask(other.index)) for other in again.structures
        ):
            raise Bug(f"{structure.name} was lost on the way through a file")
    write_labelmap(segmentation, folder / "again.nii.gz")


# --- label maps -----------------------------------------------------------------------------------------------------------


@st.composite
def label_maps(draw: st.DrawFn) -> dict[str, Any]:
    """Values of some voxels, the type of the file, and whether structures are declared."""
    values = draw(st.lists(st.sampled_from(VALUES), max_size=4))
    kinds = [np.dtype(kind) for kind in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")]
    return {
        "values": values, "dtype": draw(st.sampled_from(kinds)), "declared": draw(st.booleans()),
        "many": draw(st.integers(0, 400)),
        "only": draw(st.booleans()), "ones": draw(st.booleans()), "scale": draw(st.sampled_from((0.0, 1.0, 1.001, 0.5,
        -1.0, 1e30))),
    }  # fmt: skip


def attempt_map(path: Path, case: dict[str, Any]) -> None:
    """A label map with these values."""
    array = LABELS.astype(np.float64)
    array.reshape(-1)[: len(case["values"])] = case["values"]
    if case["many"] > 200:
        array.reshape(-1)[:] = np.arange(array.size) % case["many"]
    with np.errstate(all="ignore"):
        array = array.astype(case["dtype"])
    write_nifti(path, array, scale=(case["scale"], 0.0), pixdim=(1.0, 3.0, 3.0, 5.0))
    declared = DECLARED if case["declared"] else None
    use(read_segmentation(path, declared, only_declared=case["only"], named_ones=case["ones"]), path.parent)


# --- .seg.nrrd ------------------------------------------------------------------------------------------------------------


@st.composite
def seg_nrrds(draw: st.DrawFn) -> dict[str, Any]:
    """Segments, and entries of the header that are added or replace those of the segments."""
    numbers = draw(st.lists(st.integers(0, 4) | st.sampled_from((7, 300)), max_size=4, unique=True))
    segments = {
        number: (draw(st.sampled_from(WORDS[:30])), draw(st.sampled_from(("1", "2", "1", "2", *WORDS[:16]))),
        draw(st.sampled_from("001")))
        for number in numbers
    }  # fmt: skip
    keys = st.sampled_from(FILE_KEYS) | st.tuples(st.integers(0, 2), st.sampled_from(SEGMENT_KEYS)).map(
        lambda pair: f"Segment{pair[0]}_{pair[1]}"
    )
    extra = draw(st.dictionaries(keys, st.sampled_from(WORDS), max_size=3))
    out = draw(st.lists(st.sampled_from(SEGMENT_KEYS[:5]), max_size=2))
    return {
        "segments": segments,
        "extra": extra,
        "leave_out": out,
        "layers": draw(st.booleans()),
        "declared": draw(st.booleans()),
    }


def attempt_seg(path: Path, case: dict[str, Any]) -> None:
    """A file of Slicer with these entries."""
    array = np.stack([LABELS, LABELS[::-1]]) if case["layers"] else LABELS
    extra = {key: value.replace("\n", " ") for key, value in case["extra"].items()}
    seg_nrrd(path, array, GRID, case["segments"], extra, case["leave_out"])
    use(read_segmentation(path, DECLARED if case["declared"] else None), path.parent)


# --- DICOM segmentations --------------------------------------------------------------------------------------------------

TAGS: dict[tuple[int, int], str] = {
    (8, 5): "CS", (0x20, 0x52): "UI", (0x28, 4): "CS", (0x28, 8): "IS", (0x62, 1): "CS", (0x28, 2): "US", (0x28, 0x10): "US",
    (0x28, 0x11): "US", (0x28, 0x100): "US", (0x28, 0x101): "US", (0x28, 0x102): "US", (0x62, 0xE): "US", (0x62, 2): "SQ",
    (0x5200, 0x9229): "SQ", (0x5200, 0x9230): "SQ", (0x7FE0, 0x10): "OB", (8, 0x1115): "SQ",
}  # fmt: skip


@st.composite
def dicom_segs(draw: st.DrawFn) -> dict[str, Any]:
    """Elements of a segmentation that are replaced or empty, and the numbers of its segments."""
    elements: Elements = {}
    for tag in draw(st.lists(st.sampled_from(sorted(TAGS)), max_size=3, unique=True)):
        kind = TAGS[tag]
        value: Any = draw(st.sampled_from(TEXTS)).encode("utf-8")
        if kind == "US":
            value = draw(st.sampled_from(NUMBERS))
        elif kind == "SQ":
            value = [segment(1, draw(st.sampled_from(WORDS[:30])))] * draw(st.integers(0, 3))
        elif kind == "OB":
            value = draw(st.binary(max_size=200))
        elements[tag] = (kind, value)
    numbers = draw(st.lists(st.integers(0, 3) | st.sampled_from((255, 256, 65535)), min_size=1, max_size=3))
    names = draw(st.lists(st.sampled_from(WORDS[:30]), min_size=3, max_size=3))
    return {"elements": elements, "numbers": numbers, "names": names, "between": draw(st.booleans())}


def attempt_dicom(path: Path, case: dict[str, Any]) -> None:
    """A segmentation with these elements."""
    segments = [segment(number, name) for number, name in zip(case["numbers"], case["names"], strict=False)]
    elements = seg_elements(GRID, binary_frames(LABELS), segments, between=case["between"])
    write_dicom(path, elements | case["elements"])
    use(read_segmentation(path), path.parent)


# --- dataset.json ---------------------------------------------------------------------------------------------------------

ENTRIES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2, 1.5, 2.0, 255, 65536, 10**30, "1", "", "x" * 3000, [], [1], [1, 2], [[1]], {}, {"a": 1},
    [True], ["1"],
)  # fmt: skip


@st.composite
def descriptions(draw: st.DrawFn) -> Any:
    """An nnU-Net dataset.json with labels and entries of any type."""
    names = st.sampled_from(
        ("background", "Background", "liver", "Liver", "spleen", "ignore", "Ignore", "IGNORE", "", "a\nb", "=1")
    )
    labels = draw(
        st.dictionaries(names, st.sampled_from(ENTRIES) | st.integers(0, 4), max_size=5) | st.sampled_from(ENTRIES)
    )
    plain: dict[str, Any] = {
        "name": "Blobs", "channel_names": {"0": "CT"}, "labels": {"background": 0, "liver": 1, "spleen": 2}, "numTraining": 2,
        "file_ending": ".nii.gz",
    }  # fmt: skip
    if draw(st.booleans()):
        plain["labels"] = labels
    for name in draw(st.lists(st.sampled_from(sorted(plain)), max_size=2)):
        plain[name] = draw(st.sampled_from(ENTRIES))
    return draw(st.sampled_from((plain, plain, plain, [plain], "x", None)))


def attempt_description(folder: Path, plain: Any) -> None:
    """Read the data set with this description."""
    (folder / "dataset.json").write_text(json.dumps(plain))
    found = read_dataset(folder)
    if not found.structures or any(structure.index < 1 for structure in found.structures):
        raise Bug(f"structures {found.structures}")
    names = [structure.name.lower() for structure in found.structures]
    if "ignore" in names or "background" in names:
        raise Bug(f"structures called {names}")
