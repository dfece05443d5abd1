"""MM-WHS: ct_train_1001_image.nii.gz and ct_train_1001_label.nii.gz, in one folder or in any folders below it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

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

    The values are 205, 420, 500, 550, 600, 820 and 850; the stray 421 means 420 (left atrium). Raises InputError for an
    image without a label and the other way round, except for test images, which come without labels.
    """
    found: dict[str, dict[str, Path]] = {}
    strangers, magnetic = [], set()
    for file in files:
        if match := _NAME.match(file.name):
            if match["modality"] == "mr":
                magnetic.add(match["case"])
                continue
            roles = found.setdefault(match["case"], {})
            if other := roles.get(match["role"]):
                problems.add(f"{file.name} lies at {other} and at {file}; remove one of them.")
                continue
            roles[match["role"]] = file
        else:
            strangers.append(file.name)
    unlabelled = sorted(case for case, roles in found.items() if case.startswith("ct_test") and "label" not in roles)
    cases = []
    for case in sorted(set(found) - set(unlabelled)):
        if missing := [role for role in ("image", "label") if role not in found[case]]:
            problems.add(_lacking(found[case], case, missing[0], strangers))
            continue
        cases.append(Case(case, found[case]["image"], found[case]["label"]))
    if not cases and not problems.found:
        raise InputError(f"{folder} holds no labelled CT of MM-WHS; ct_train_1001_image.nii.gz and _label.nii.gz are.")
    notes = [f"{len(unlabelled)} test images have no labels and were left out"] if unlabelled else []
    notes += [f"{len(magnetic)} MR cases were left out: this is a CT network"] if magnetic else []
    notes += [f"{len(strangers)} other files were left out ({first_few(strangers)})"] if strangers else []
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


def _lacking(roles: dict[str, Path], case: str, role: str, strangers: list[str]) -> str:
    other = next(iter(roles.values()))
    wanted = f"{case}_{role}.nii.gz"
    near = closest_name(wanted, strangers, cutoff=0.85)
    hint = f"{near} looks like it: rename it" if near else f"add it or take {other.name} out"
    return f"{other} has no {role} {wanted}; {hint}."
