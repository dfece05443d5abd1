"""Names of image files: their endings, their stems, and which file is the scan and which the labels of which case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import InputError

IMAGE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
WRITABLE_ENDINGS = (".nii.gz", ".nii", ".nrrd", ".mha")  # each of one file
_RARE_ENDINGS = (".hdr.gz", ".img.gz", ".hdr", ".img", ".dcm")  # read if named, not searched for in folders
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(10))}
_MOST_CHARACTERS = 60
_IMAGE_WORDS = ("image", "images", "img", "imgs", "ct", "cts", "scan", "scans", "volume", "volumes")
_LABEL_WORDS = ("label", "labels", "seg", "segs", "segmentation", "segmentations", "mask", "masks", "gt")
_ENDS = re.compile(rf"^(?:(?P<case>.*?)[_\-. ])?(?P<word>{'|'.join(_IMAGE_WORDS + _LABEL_WORDS)})$", re.IGNORECASE)


def file_stem(path: Path | str) -> str:
    """File name without folder and image ending ("case1.seg.nrrd" -> "case1")."""
    name = Path(path).name
    for ending in (".seg.nrrd", *IMAGE_ENDINGS, *_RARE_ENDINGS):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def refuse_undecodable(path: Path | str) -> None:
    """Raise InputError for a path with bytes that are no text: no table can name it, and SimpleITK ends the process at it."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{path} has a name that is no text in UTF-8; rename it.") from error


def safe_file_names(names: Iterable[str]) -> list[str]:
    """File names for some names: words joined by underscores, different ones also where case does not count.

    Letters of any language stay; what a file system reserves ("a/b", "CON", "x.") does not.
    """
    made: list[str] = []
    taken: set[str] = set()
    for name in names:
        plain = re.sub(r"[^\w-]+", "_", name).strip("_")[:_MOST_CHARACTERS] or "structure"
        if plain.casefold() in _RESERVED:
            plain += "_"
        number, free = 2, plain
        while free.casefold() in taken:
            number, free = number + 1, f"{plain}_{number}"
        taken.add(free.casefold())
        made.append(free)
    return made


def cases_by_name(folder: Path, files: Iterable[Path]) -> Iterator[tuple[str, str, Path]]:
    """Case, role ("image" or "label") and path of each file below `folder`, by the usual names.

    Understood are NAME_image and NAME_label (or a similar word), NAME in a folder `images` or `labels`, and one folder per
    case with image and label in it. NAME alone is an image, NAME.seg.nrrd a label.
    """
    for file in files:
        parents = list(file.relative_to(folder).parts[:-1])
        stem, role = file_stem(file), "label" if file.name.lower().endswith(".seg.nrrd") else ""
        for position, part in enumerate(parents):
            if word := _role(part):
                role = word
                del parents[position]
                break
        if match := _ENDS.match(stem):
            role = role or _role(match["word"])
            stem = match["case"] or ""
        if role == "image":
            stem = re.sub(r"_0000$", "", stem)
        yield "/".join([*parents, stem]).strip("/").replace("/", "_"), role or "image", file


def _role(word: str) -> str:
    if word.lower() in _IMAGE_WORDS:
        return "image"
    return "label" if word.lower() in _LABEL_WORDS else ""
