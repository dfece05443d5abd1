"""Whether a pack was built from the files that lie in a data set."""

from __future__ import annotations

from UNetSegmenterLib.engine.errors import InputError

from .datasets import DataSet
from .pack import Pack, sha256


def check_sources(pack: Pack, dataset: DataSet) -> None:
    """Raise InputError unless the pack holds just the cases of the data set, and from the very same files.

    Names, then the SHA-256 of every image and label that pack.json recorded, are compared.
    """
    packed = {case.name: case for case in pack.cases}
    there = {case.name: case for case in dataset.cases}
    if packed.keys() != there.keys():
        names = ", ".join(sorted(packed.keys() ^ there.keys())[:5])
        raise InputError(
            f"The pack holds {len(packed)} cases and {dataset.name} {len(there)}; they differ in {names}: prepare the data "
            "set into another folder."
        )
    for name, case in there.items():
        for path, recorded in ((case.image, packed[name].image_sha256), (case.label, packed[name].label_sha256)):
            if sha256(path) != recorded:
                raise InputError(
                    f"The pack was built from another {path.name} than {path} (its SHA-256 differs from pack.json): "
                    "prepare the data set into another folder."
                )
