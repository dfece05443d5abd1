"""Plausibility of a segmentation without ground truth: components, gaps, sizes, positions, HU, neighbours.

  unetseg check results/case1.seg.nrrd --scan case1.nii.gz --output checked
  unetseg check case1_labels.nii.gz --checkpoint abdomen.pt --output checked

With a checkpoint the statistics of its training labels are used, and its label values for label maps. A file with one value
is the structure that it is named after (liver.nii.gz). Labels on another grid than the scan's are resampled to it (nearest
neighbour). DIR gets findings.csv and findings.json, with the position of each finding in RAS.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

from ..console import print_line, warn
from ..output_folder import Outputs, output_folder
from .parser import CommandParser
from .shared_options import add_resample

if TYPE_CHECKING:
    from UNetSegmenterLib.engine.plausibility.finding import Finding


COLUMNS = ("severity", "check", "structure", "value", "unit", "expected", "position_ras_mm", "sentence")


def add_options(parser: CommandParser) -> None:
    """Add the options of this command."""
    parser.add_argument(
        "segmentation",
        type=Path,
        help=".seg.nrrd, DICOM SEG or RTSTRUCT, label map, or folder with one file per structure",
    )
    parser.add_argument("--scan", type=Path, help="the CT, for checks of HU and of the field of view")
    parser.add_argument(
        "--checkpoint", type=Path, help="checkpoint whose training labels the segmentation is compared with"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    add_resample(parser)


def outputs(options: Any) -> Outputs:
    """What this command writes and reads."""
    inputs = (options.segmentation, options.scan, options.checkpoint)
    return Outputs(options.output, ("findings.csv", "findings.json"), inputs)


def run(options: Any) -> None:
    """Check a segmentation, print the findings and write them."""
    from UNetSegmenterLib.engine.io.file_names import refuse_undecodable
    from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
    from UNetSegmenterLib.engine.model.checkpoint import read_card
    from UNetSegmenterLib.engine.plausibility.finding import SEVERITIES
    from UNetSegmenterLib.engine.plausibility.plausibility_checks import check
    from UNetSegmenterLib.engine.plausibility.training_statistics import limits_text

    from ..evaluation.scan_prediction import along_axis_of, on_grid_of, read_scan

    refuse_undecodable(options.segmentation)
    card = read_card(options.checkpoint) if options.checkpoint else None
    volume = read_scan(options.scan, options.resample, card) if options.scan else None
    segmentation = read_segmentation(
        options.segmentation,
        card.structures if card else None,
        named_ones=True,
        resample=options.resample,
        grid=volume.geometry if volume else None,
    )
    if not segmentation.structures:
        raise InputError(
            f"{options.segmentation} holds no labelled voxel and names no structure, so there is nothing to check; choose "
            "the segmentation, or say with --checkpoint which structures it should hold."
        )
    segmentation = along_axis_of(card, segmentation, options.segmentation)
    for note in segmentation.notes:
        warn(note)
    if volume is not None:
        segmentation = on_grid_of(volume, segmentation)
    findings = check(segmentation, volume, (card.statistics or None) if card else None)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity), reverse=True)
    with output_folder(options.output) as folder:
        write_findings(findings, folder)
    for line in finding_lines(findings):
        print_line(line)
    counts = ", ".join(f"{sum(f.severity == severity for f in findings)} {severity}" for severity in SEVERITIES)
    print_line(limits_text(card.statistics if card else None, model=card is not None))
    print_line(f"{counts}; {options.output}: findings.csv, findings.json")


def finding_lines(findings: list[Finding]) -> Iterator[str]:
    """What was found as text: how many structures look plausible, then those that do not, each with a line for every finding.

    The most severe structure comes first; small components are one line.
    """
    from UNetSegmenterLib.engine.plausibility.finding import WARN
    from UNetSegmenterLib.engine.plausibility.findings_page import findings_page

    page = findings_page(findings)
    if page.structures:
        yield page.headline
    for group in page.groups:
        if len(group.findings) == 1:
            yield f"{group.severity:<5} {group.findings[0].sentence}"
            continue
        yield f"{group.severity:<5} {group.title}: {group.counts}"
        for finding in group.findings:
            yield f"        {finding.severity:<5} {group.text(finding)}"
    if page.small:
        yield f"{WARN:<5} {page.small_sentence}"


def write_findings(findings: list[Finding], folder: Path) -> None:
    """Write findings.csv and findings.json, in the order given."""
    import csv
    import json

    from UNetSegmenterLib.engine.io.atomic_files import write_atomically, write_text
    from UNetSegmenterLib.engine.io.csv_text import csv_cell

    def write_csv(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for finding in findings:
                cells = {name: "" if cell is None else csv_cell(cell) for name, cell in finding.to_json().items()}
                if cells["position_ras_mm"]:
                    cells["position_ras_mm"] = " ".join(f"{mm:.1f}" for mm in cells["position_ras_mm"])
                writer.writerow([cells[column] for column in COLUMNS])

    write_atomically(folder / "findings.csv", write_csv)
    text = json.dumps([finding.to_json() for finding in findings], indent=1) + "\n"
    write_text(folder / "findings.json", text)
