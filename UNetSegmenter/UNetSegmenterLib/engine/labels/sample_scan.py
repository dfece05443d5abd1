"""The sample scan: the address and the hashes of its files.

Both are test files of TotalSegmentator 2.18.0 (Apache-2.0, J. Wasserthal et al., Radiology: Artificial Intelligence, 2023): a
CT of 122 x 101 x 112 voxels of 3 mm without contrast agent, and what TotalSegmentator's own network segmented in it, uncorrected.

`example_seg_fast/`, which lies beside them, belongs to the upper 30 slices alone (`example_ct_sm.nii.gz`), though its header
puts it at the lower end of the whole scan; `example_seg_fast_force_split.nii.gz` covers the whole one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .segmentation import Segmentation

VERSION = "2.18.0"
FOLDER = "tests/reference_files/"
ADDRESS = f"https://raw.githubusercontent.com/wasserth/TotalSegmentator/v{VERSION}/{FOLDER}"
SCAN, REFERENCE, LICENCE = "example_ct.nii.gz", "example_seg_fast_force_split.nii.gz", "LICENSE"
ARCHIVE_SHA256 = "5d4223ef93973bc36d710869d11e7742ead2c154c72f7f9edcaaadd5b6c4bd03"
"""Of the source distribution totalsegmentator-2.18.0.tar.gz, in which the files lie too."""
SHA256 = {
    SCAN: "dbd3ae6d614d1d7ef3a46925c30c70038ed52da6b37fdd6afdc7b9b71387e3e1",
    REFERENCE: "e8097758e56e73099075b6caaebce23ef11bc6fad66a4ec3753b9406846558c7",
    LICENCE: "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
}


def read_reference(path: Path, name: str) -> Segmentation:
    """The structures of the shipped model in the sample's reference; TotalSegmentator's other structures are left out."""
    import numpy as np

    from ..io.image_reading import read_image
    from .segmentation import Segmentation
    from .structures import TOTALSEGMENTATOR_VALUES, known_structure

    values, geometry = read_image(path)
    labels = np.zeros(values.shape, dtype=np.uint8)
    structures = []
    for index, (structure, value) in enumerate(TOTALSEGMENTATOR_VALUES.items(), start=1):
        labels[values == value] = index
        structures.append(known_structure(structure, index, (value,)))
    return Segmentation(
        labels, geometry, tuple(structures), name, attributes={"Source": f"TotalSegmentator {VERSION} (fast)"}
    )
