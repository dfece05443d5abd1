"""The files that `unetseg segment` writes for each scan: which ones, what they are called, how they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError

from .parser import CommandParser

if TYPE_CHECKING:
    import numpy as np
    from UNetSegmenterLib.engine.io.volume import Volume
    from UNetSegmenterLib.engine.labels.segmentation import Segmentation
    from UNetSegmenterLib.engine.labels.structures import Structure
    from UNetSegmenterLib.engine.model.checkpoint import Checkpoint

    from .scan_paths import NamedScan


STRUCTURES = "_structures"
"""What follows the scan's name in that of the folder with one file per structure."""


def add_result_options(parser: CommandParser) -> None:
    """Add the options that say what is written."""
    parser.add_argument("--nifti", action="store_true", help="also NAME.nii.gz with the label values of the data set")
    parser.add_argument(
        "--dicom-seg",
        action="store_true",
        help="also NAME.dcm, a DICOM segmentation; for DICOM scans (needs highdicom)",
    )
    parser.add_argument(
        "--split", action="store_true", help="also NAME_structures/STRUCTURE.nii.gz, one file of ones per structure"
    )
    parser.add_argument(
        "--structures", metavar="NAMES", help='only these structures in all results, such as "liver,left kidney"'
    )
    parser.add_argument(
        "--probability",
        metavar="NAMES",
        help="also NAME_STRUCTURE_probability.nii.gz for these structures: the network's probability in percent",
    )


@dataclass(frozen=True)
class ResultFiles:
    """The results of each scan.

    Attributes:
        nifti: a label map.
        dicom_seg: a DICOM segmentation.
        resample: whether scans are read with --resample.
        split: structures that get a file of their own.
        structures: the structures that are written; None for all.
        probability: structures whose probability is written, as a volume of their own.
    """

    nifti: bool = False
    dicom_seg: bool = False
    resample: bool = False
    split: tuple[Structure, ...] = ()
    structures: tuple[Structure, ...] | None = None
    probability: tuple[Structure, ...] = ()

    @classmethod
    def of(cls, options: Any) -> ResultFiles:
        """What the options ask for; raises InputError for a structure that the checkpoint does not have."""
        from ..evaluation.dicom_seg_writer import check_highdicom
        from ..evaluation.scan_prediction import open_checkpoint

        if options.dicom_seg:
            check_highdicom()
        plain = cls(options.nifti, options.dicom_seg, options.resample)
        if options.structures is None and options.probability is None and not options.split:
            return plain
        known = open_checkpoint(options.checkpoint).card.structures
        chosen = None if options.structures is None else named_structures(options.structures, known)
        return replace(
            plain,
            split=(chosen or known) if options.split else (),
            structures=chosen,
            probability=() if options.probability is None else named_structures(options.probability, known),
        )

    def names(self, scan: NamedScan) -> list[str]:
        """Files of a scan's results, below the output folder."""
        from UNetSegmenterLib.engine.io.file_names import safe_file_names

        parts, shown = (safe_file_names([one.name for one in some]) for some in (self.split, self.probability))
        return [
            f"{scan.name}.seg.nrrd",
            *([f"{scan.name}.nii.gz"] if self.nifti else []),
            *([f"{scan.name}.dcm"] if self.dicom_seg else []),
            *(f"{scan.name}_{one}_probability.nii.gz" for one in shown),
            *(f"{scan.name}{STRUCTURES}/{part}.nii.gz" for part in parts),
        ]

    def summary(self, scan: NamedScan) -> list[str]:
        """The folder with one file per structure, if there is one, in words."""
        return [f"{scan.name}{STRUCTURES} ({counted(len(self.split), 'file')})"] if self.split else []

    def check_scan(self, scan: Path) -> None:
        """Raise InputError, before it is segmented, for a scan that has no such results."""
        from ..evaluation.dicom_seg_writer import check_can_write

        if self.dicom_seg:
            check_can_write(scan)

    def percent(self, volume: Volume) -> dict[int, np.ndarray]:
        """The arrays that the prediction of a scan fills with probabilities in percent, by structure index."""
        import numpy as np

        return {structure.index: np.zeros(volume.geometry.shape, np.uint8) for structure in self.probability}

    def write(
        self,
        predicted: Segmentation,
        percent: Mapping[int, np.ndarray],
        checkpoint: Checkpoint,
        scan: NamedScan,
        folder: Path,
    ) -> None:
        """Write the files `names` of a scan."""
        import numpy as np
        from UNetSegmenterLib.engine.io.image_writing import write_image
        from UNetSegmenterLib.engine.labels.seg_nrrd import write_seg_nrrd
        from UNetSegmenterLib.engine.labels.segmentation_files import write_labelmap

        from ..evaluation.dicom_seg_writer import write_dicom_seg

        segmentation = predicted if self.structures is None else predicted.restricted_to(self.structures)
        paths = iter([folder / name for name in self.names(scan)])
        write_seg_nrrd(segmentation, next(paths))
        if self.nifti:
            write_labelmap(segmentation, next(paths))
        if self.dicom_seg:
            write_dicom_seg(segmentation, scan.path, checkpoint, next(paths), self.resample)
        for structure in self.probability:
            write_image(percent[structure.index], segmentation.geometry, next(paths))
        for structure, path in zip(self.split, paths, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(segmentation.mask(structure.index).astype(np.uint8), segmentation.geometry, path)


def named_structures(text: str, known: Sequence[Structure]) -> tuple[Structure, ...]:
    """The structures that a list such as "liver,left kidney" names, in the order of `known`.

    Raises InputError for a name that is none of them, with the one that was probably meant.
    """
    from UNetSegmenterLib.engine.labels.structures import canonical_name
    from UNetSegmenterLib.engine.plain_data import closest_name

    by_name = {canonical_name(structure.name): structure for structure in known}
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise InputError(f"No structure is named; choose among {', '.join(one.name for one in known)}.")
    for name in names:
        if canonical_name(name) not in by_name:
            near = closest_name(canonical_name(name), list(by_name))
            hint = f"did you mean {by_name[near].name}? It" if near else "it"
            raise InputError(
                f"The checkpoint does not segment “{name}”; {hint} segments {', '.join(one.name for one in known)}."
            )
    chosen = {canonical_name(name) for name in names}
    return tuple(structure for structure in known if canonical_name(structure.name) in chosen)
