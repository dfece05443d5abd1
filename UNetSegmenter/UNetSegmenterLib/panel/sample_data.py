"""The sample scan and its reference for Slicer's Sample Data module; fetched from a public address on demand.

engine/labels/sample_scan.py says what they are. The reference was made by TotalSegmentator, not by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer

from ..engine.labels.sample_scan import ADDRESS, REFERENCE, SCAN, SHA256, read_reference

CATEGORY = "UNetSegmenter"
REFERENCE_NAME = "UNetSegmenterSampleReference"


@dataclass(frozen=True)
class SampleSource:
    """A file that Slicer's Sample Data module offers: name of its node, address, checksum, name in the cache."""

    name: str
    address: str
    sha256: str
    file_name: str


SAMPLES = (
    SampleSource(
        "UNetSegmenterSampleCT",
        ADDRESS + SCAN,
        SHA256[SCAN],
        "UNetSegmenter-sample-ct.nii.gz",
    ),
    SampleSource(
        REFERENCE_NAME,
        ADDRESS + REFERENCE,
        SHA256[REFERENCE],
        "UNetSegmenter-sample-reference.nii.gz",
    ),
)


def register(logic: Any, title: str) -> None:
    """Offer the samples in Slicer's Sample Data module, whose logic class this is, under a title."""
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12 and later
        logic.registerCustomSampleDataCategory(CATEGORY, title=title)
    for sample in SAMPLES:
        logic.registerCustomSampleDataSource(
            category=CATEGORY,
            sampleName=sample.name,
            uris=sample.address,
            checksums=f"SHA256:{sample.sha256}",
            fileNames=sample.file_name,
            nodeNames=sample.name,
            customDownloader=load_sample,
        )


def load_sample(source: Any) -> Any:
    """What Sample Data calls for a sample of ours: download (checked against the SHA-256), load, return the node.

    Its buttons call this and nothing around it, so whoever pressed one is shown here why it did not work.
    """
    sample = next(sample for sample in SAMPLES if sample.name == source.sampleName)
    with slicer.util.tryWithErrorDisplay(f"{sample.name} could not be loaded.", waitCursor=True):
        return _load(sample)


def _load(sample: SampleSource) -> Any:
    folder = Path(slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory())
    path = folder / sample.file_name
    if not slicer.util.downloadFile(sample.address, str(path), checksum=f"SHA256:{sample.sha256}"):
        raise RuntimeError(f"The download from {sample.address} did not work; check the internet connection or proxy.")
    if sample.name == REFERENCE_NAME:
        return load_reference(path)
    return slicer.util.loadVolume(str(path), {"name": sample.name})


def load_reference(path: Path) -> Any:
    """The reference as a segmentation node with the names, colours and terminology of the shipped model's structures."""
    from ..scene.nodes.segmentation_to_node import segmentation_to_node

    return segmentation_to_node(read_reference(path, REFERENCE_NAME), slicer.mrmlScene)
