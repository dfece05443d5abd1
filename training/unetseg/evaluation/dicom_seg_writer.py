"""Writes a prediction as a DICOM segmentation that belongs to its scan: patient, study, series and slices of the source.

highdicom (an optional dependency) puts the file together; engine/labels/dicom_seg.py reads it back.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from UNetSegmenterLib import __version__
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_atomically
from UNetSegmenterLib.engine.io.dicom_series import DicomSeries, read_dicom_series
from UNetSegmenterLib.engine.io.image_reading import is_dicom
from UNetSegmenterLib.engine.labels.segmentation import Segmentation
from UNetSegmenterLib.engine.labels.structures import Structure
from UNetSegmenterLib.engine.labels.terminology import TISSUE, CodedConcept, Terminology

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

_PROGRAM = "UNetSegmenter"
_SERIES_NUMBERS_AFTER = 1000  # the segmentation of series 3 is series 1003
_MOST_CHARACTERS = 64  # of a long string (LO), PS3.5, table 6.2-1
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate", "StudyTime",
    "ReferringPhysicianName", "PositionReferenceIndicator",
)  # fmt: skip


def check_can_write(scan: Path) -> None:
    """Raise InputError if highdicom is not installed, or the scan is no DICOM series that a segmentation can refer to."""
    check_highdicom()
    if not (scan.is_dir() or is_dicom(scan)):
        raise InputError(
            f"{scan} is no DICOM scan, and a DICOM segmentation refers to the patient, study and slices of one; give the folder "
            "of the DICOM series, or leave out --dicom-seg."
        )


def check_highdicom() -> None:
    """Raise InputError if highdicom is not installed."""
    if importlib.util.find_spec("highdicom") is None:
        raise InputError(
            "highdicom, which writes DICOM segmentations, is not installed; install it with: pip install highdicom"
        )


def write_dicom_seg(
    segmentation: Segmentation, scan: Path, checkpoint: Checkpoint, path: Path, resample: bool = False
) -> None:
    """Write a binary DICOM segmentation of a scan.

    Each structure is a segment, also one without a voxel; frames without voxels are left out.

    Args:
        segmentation: on the grid of the scan as `read_volume` reads it.
        scan: folder of the series, or multi-frame file.
        checkpoint: what made the segmentation; its card names the algorithm.
        path: the file.
        resample: the scan was read with `resample`.

    Raises:
        InputError: the scan lacks what a segmentation has to refer to, or the file can't be written.
    """
    import highdicom as hd
    from pydicom.uid import ExplicitVRLittleEndian

    series = read_dicom_series(scan, resample)
    sources = _sources(scan, series)
    numbers = {structure.index: number for number, structure in enumerate(segmentation.structures, start=1)}
    table = np.zeros(256, np.uint8)
    for index, number in numbers.items():
        table[index] = number
    frames = table[segmentation.labels]
    measures = hd.PixelMeasuresSequence(
        pixel_spacing=list(segmentation.geometry.spacing_mm[1:]),
        slice_thickness=segmentation.geometry.spacing_mm[0],
        spacing_between_slices=segmentation.geometry.spacing_mm[0],
    )
    planes: dict[str, Any] = {}
    if series.is_resampled:
        planes = _own_planes(segmentation)
    elif len(sources) == 1:  # frames in the order of the file
        frames = frames[np.argsort([part.frame for part in series.slices])]
    title = checkpoint.card.title
    content = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=frames,
        segmentation_type="BINARY",
        segment_descriptions=[
            _segment(structure, numbers[structure.index], checkpoint) for structure in segmentation.structures
        ],
        series_instance_uid=hd.UID(),
        series_number=int(sources[0].get("SeriesNumber") or 0) + _SERIES_NUMBERS_AFTER,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer=_PROGRAM,
        manufacturer_model_name="unetseg",
        software_versions=__version__,
        device_serial_number=checkpoint.sha256[:16],
        content_description=_short(title),
        series_description=_short(f"Segmentation: {title}"),
        transfer_syntax_uid=ExplicitVRLittleEndian,
        pixel_measures=measures,
        **planes,
    )
    write_atomically(path, content.save_as)


def _sources(scan: Path, series: DicomSeries) -> list[Any]:
    """The headers of the series' files in the order of the slices, with empty elements where they may be empty."""
    import pydicom

    files = list(dict.fromkeys(part.file for part in series.slices))
    if len(files) > 1 and any(part.frames > 1 for part in series.slices):
        raise InputError(
            f"{scan} is a series of {len(files)} multi-frame files, to which one DICOM segmentation can't refer; write "
            "another format, or export the series as single slices."
        )
    sources = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    for file, source in zip(files, sources, strict=True):
        if missing := [name for name in _NEEDED if not source.get(name)]:
            raise InputError(
                f"{file} has no {missing[0]}, to which a DICOM segmentation has to refer; export the series again, or leave "
                "out --dicom-seg."
            )
        for name in _MAY_BE_EMPTY:
            if name not in source:
                setattr(source, name, None if name.endswith(("Date", "Time")) else "")
        source.decode()
        source.SpecificCharacterSet = "ISO_IR 192"  # names of structures may have any letters
    return sources


def _own_planes(segmentation: Segmentation) -> dict[str, Any]:
    """Position of each frame where the grid is not that of the series, because its slices were resampled."""
    import highdicom as hd

    geometry = segmentation.geometry
    direction = np.asarray(geometry.direction)
    positions = [geometry.position_lps_mm((number, 0, 0)) for number in range(geometry.shape[0])]
    return {
        "plane_orientation": hd.PlaneOrientationSequence("PATIENT", [*direction[:, 0], *direction[:, 1]]),
        "plane_positions": [hd.PlanePositionSequence("PATIENT", position) for position in positions],
    }


def _segment(structure: Structure, number: int, checkpoint: Checkpoint) -> Any:
    import highdicom as hd
    from pydicom.dataset import Dataset
    from pydicom.sr.codedict import codes

    card = checkpoint.card
    terminology = structure.terminology or Terminology(TISSUE, TISSUE)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=_short(card.title),
        family=codes.cid7162.ArtificialIntelligence,
        version=_short(f"{card.training.get('date', '')} {checkpoint.sha256[:16]}".strip()),
        source=_PROGRAM,
        parameters={"checkpoint_sha256": checkpoint.sha256},
    )
    description: Dataset = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=_short(structure.name),
        segmented_property_category=_code(terminology.category),
        segmented_property_type=_code(terminology.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=hd.UID(),
        tracking_id=_short(structure.name),
        display_color=hd.color.CIELabColor.from_rgb(*structure.color),
    )
    if terminology.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_code(terminology.modifier)]
    return description


def _code(concept: CodedConcept) -> Any:
    import highdicom as hd

    return hd.sr.CodedConcept(concept.value, concept.scheme, _short(concept.meaning))


def _short(text: str) -> str:
    """The text as a long string of DICOM holds it."""
    return " ".join(text.replace("\\", " ").split())[:_MOST_CHARACTERS]
