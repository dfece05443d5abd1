"""MM-WHS: ct_train_1001_image.nii.gz and ct_train_1001_label.nii.gz, in one folder or in any folders below it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from UNetSegmenterLib.engine.counting import counted
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.plain_data import closest_name

from ..dataset import Case, Dataset, ProblemCollector, first_few, unique_cases

LAYOUT = "MM-WHS"
LICENCE = "MM-WHS: for research, on the condition that the data are not passed on"
CITATION = (
    "Zhuang and Shen, Medical Image Analysis 31 (2016) 77-87; Zhuang et al., Medical Image Analysis 58 (2019) 101537"
)
_NAME = re.compile(r"(?P<case>(?P<modality>ct|mr)_(?P<split>train|test)_\d+)_(?P<role>image|label)\.nii(\.gz)?$")


def is_mmwhs(names: Iterable[str]) -> bool:
    """Whether any of the file names is one of MM-WHS."""
    return any(_NAME.match(name) for name in names)


def read_mmwhs(folder: Path, files: list[Path], problems: ProblemCollector) -> Dataset:
    """CT cases; labelled ct_test cases become the locked test.

    The values are 205, 420, 500, 550, 600, 820 and 850; the stray 421 means 420 (left atrium).

    Args:
        folder: folder of the data set.
        files: its image files.
        problems: collects the incomplete cases.

    Raises:
        InputError: an image has no label or a label no image, except for test images, which have no labels.
    """
    found: dict[str, dict[str, Path]] = {}
    other_files, mr_cases = [], set()
    for file in files:
        if match := _NAME.match(file.name):
            if match["modality"] == "mr":
                mr_cases.add(match["case"])
                continue
            roles = found.setdefault(match["case"], {})
            if other := roles.get(match["role"]):
                problems.add(f"{file.name} exists as {other} and as {file}; remove one of them.")
                continue
            roles[match["role"]] = file
        else:
            other_files.append(file.name)
    unlabelled = sorted(case for case, roles in found.items() if case.startswith("ct_test") and "label" not in roles)
    cases = []
    for case in sorted(set(found) - set(unlabelled)):
        if missing := [role for role in ("image", "label") if role not in found[case]]:
            problems.add(_missing_file(found[case], case, missing[0], other_files))
            continue
        cases.append(Case(case, found[case]["image"], found[case]["label"]))
    if not cases and not problems.found:
        raise InputError(f"{folder} holds no labelled CT of MM-WHS; ct_train_1001_image.nii.gz and _label.nii.gz are.")
    notes = [f"left out, as they have no labels: {counted(len(unlabelled), 'test image')}"] if unlabelled else []
    notes += [f"{len(mr_cases)} MR cases were left out: this is a CT network"] if mr_cases else []
    notes += [f"left out: {counted(len(other_files), 'other file')} ({first_few(other_files)})"] if other_files else []
    return Dataset(
        "MM-WHS CT" if folder.name in ("", ".") else f"MM-WHS CT ({folder.name})",
        LAYOUT,
        HEART,
        unique_cases(folder, cases, problems),
        LICENCE,
        CITATION,
        tuple(case.name for case in cases if case.name.startswith("ct_test")),
        tuple(notes),
        problems=tuple(problems.found),
    )


def _missing_file(roles: dict[str, Path], case: str, role: str, other_files: list[str]) -> str:
    other = next(iter(roles.values()))
    wanted = f"{case}_{role}.nii.gz"
    near = closest_name(wanted, other_files, cutoff=0.85)
    hint = f"{near} looks like it: rename it" if near else f"add it or remove {other.name}"
    return f"{other} has no {role} {wanted}; {hint}."
