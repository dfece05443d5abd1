"""The sample scan and its reference for Slicer's Sample Data module; fetched from a public address when somebody asks.

Both are test files of TotalSegmentator 2.18.0 (Apache-2.0). The reference was made by TotalSegmentator, not by a person.
(`example_seg_fast.nii.gz`, which lies beside it, belongs to another, cropped scan, though its header puts it onto this one.)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

_TESTS = "https://raw.githubusercontent.com/wasserth/TotalSegmentator/v2.18.0/tests/reference_files/"
REFERENCE_NAME = "UNetSegmenterSampleReference"


@dataclass(frozen=True)
class Sample:
    name: str
    address: str
    sha256: str
    file_name: str


SAMPLES = (
    Sample(
        "UNetSegmenterSampleCT",
        _TESTS + "example_ct.nii.gz",
        "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
        "UNetSegmenter-sample-ct.nii.gz",
    ),
    Sample(
        REFERENCE_NAME,
        _TESTS + "example_seg_fast_force_split.nii.gz",
        "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
        "UNetSegmenter-sample-reference.nii.gz",
    ),
)


def load_sample(source: Any) -> Any:
    """What Sample Data calls for a sample of ours: download (checked against the SHA-256), load, return the node."""
    sample = next(sample for sample in SAMPLES if sample.name == source.sampleName)
    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    path = folder / sample.file_name
    if not slicer.util.downloadFile(sample.address, str(path), checksum=f"SHA256:{sample.sha256}"):
        raise RuntimeError(
            f"{sample.name} could not be downloaded from {sample.address}; check the internet connection."
        )
    if sample.name == REFERENCE_NAME:
        return load_reference(path)
    return slicer.util.loadVolume(str(path), {"name": sample.name})


def load_reference(path: Path) -> Any:
    """The reference as a segmentation node with the names, colours and terminology of the shipped model's structures."""
    import numpy as np

    from ..engine.segmentation import Segmentation
    from ..engine.structures import TOTALSEGMENTATOR_VALUES, known_structure
    from ..engine.volume import read_image
    from ..scene.nodes import segmentation_to_node

    values, geometry = read_image(path)
    structures = tuple(
        known_structure(name, i, (value,)) for i, (name, value) in enumerate(TOTALSEGMENTATOR_VALUES.items(), start=1)
    )
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    for structure in structures:
        labels[np.isin(values, structure.values)] = structure.index
    segmentation = Segmentation(
        labels, geometry, structures, REFERENCE_NAME, {"Source": "TotalSegmentator 2.18.0 (fast)"}
    )
    return segmentation_to_node(segmentation, slicer.mrmlScene)
