"""Requests of the panel about a model that is imported: what it tells, one slice segmented by it, and the file that it becomes.

The model is read once and kept, so that the preview of another card needs a second at most. Nothing of it is run as Python.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .image_serialization import volume_from_json

if TYPE_CHECKING:
    from ..model.card import Card
    from ..model.checkpoint import Checkpoint
    from ..model.imports.draft import ImportDraft


class ImportRequests:
    """Answers `describe_import`, `preview_import` and `import`; keeps the last model that was asked about."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self._draft: tuple[tuple[Any, ...], ImportDraft] | None = None
        self._checkpoint: tuple[tuple[Any, ...], Checkpoint] | None = None
        self._folds = 0

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        """The card of a model as far as its files tell, and the entries that the user has to give."""
        draft = self._read(request["path"])
        return {
            "kind": draft.kind,
            "card": draft.card,
            "unknown": [asdict(one) for one in draft.unknown],
            "notes": list(draft.notes),
            "folds": list(getattr(draft, "folds", ())),  # of an nnU-Net
        }

    def preview(self, request: dict[str, Any]) -> dict[str, Any]:
        """One slice of a scan as the network reads it, and its labels, as two pictures in the folder `into`."""
        from ..model.imports.importing import completed_card
        from ..report.model_preview import preview_slice

        draft = self._read(request["path"])
        card = completed_card(draft, request["card"])
        checkpoint = replace(self._checkpoint_of(draft, card, Path(request["into"])), card=card)
        volume = volume_from_json(request["image"] | {"geometry": request["geometry"]})
        preview = preview_slice(checkpoint, volume, request["slice"])
        into = Path(request["into"])
        paths = {"labels": into / "preview-labels.png", "input": into / "preview-input.png"}
        paths["labels"].write_bytes(preview.labels_png)
        paths["input"].write_bytes(preview.input_png)
        facts = {name: value for name, value in vars(preview).items() if not name.endswith("_png")}
        return facts | {name: str(path) for name, path in paths.items()} | {"folds": self._folds, "complete": True}

    def write(self, request: dict[str, Any]) -> dict[str, Any]:
        """Write the model with its confirmed card."""
        from ..model.imports.importing import completed_card, write_model

        draft = self._read(request["path"])
        write_model(draft, completed_card(draft, request["card"]), Path(request["output"]))
        self._draft = self._checkpoint = None  # as large as the model
        return {"path": request["output"], "complete": True}

    def _read(self, path: str) -> ImportDraft:
        from ..model.imports.importing import read_model

        key = _times_of(Path(path))
        if self._draft is None or self._draft[0] != key:
            self._draft = self._checkpoint = None
            self._draft = (key, read_model(path))
        return self._draft[1]

    def _checkpoint_of(self, draft: ImportDraft, card: Card, into: Path) -> Checkpoint:
        """The model with a card of the same network, its first fold; what else the card says does not matter to the weights."""
        from ..model.checkpoint import load_checkpoint
        from ..model.imports.importing import write_model

        written = into / f"preview{'.onnx' if draft.kind == 'ONNX' else '.pt'}"
        key = (*_times_of(draft.source), str(written), json.dumps(asdict(card.network), sort_keys=True))
        if self._checkpoint is None or self._checkpoint[0] != key:
            self._checkpoint = None
            write_model(draft, card, written)
            checkpoint = load_checkpoint(written)
            self._folds = len(checkpoint.weights)
            self._checkpoint = (key, replace(checkpoint, weights=checkpoint.weights[:1]))
        return self._checkpoint[1]


def _times_of(path: Path) -> tuple[Any, ...]:
    """A model's path with time and size of its files: if one changes, it must be read again."""
    files = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else [path]
    return (str(path), *((str(one), one.stat().st_mtime_ns, one.stat().st_size) for one in files if one.exists()))
