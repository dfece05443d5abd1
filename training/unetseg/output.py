"""Folders that a command writes to: checked before the work starts, taken back if it fails with nothing in them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.files import why_not_written


@contextmanager
def output_folder(folder: Path | str) -> Iterator[Path]:
    """Make `folder` (and parents) and see that files can be written there, before anything else costs time.

    Raises InputError if not. Folders that this made are removed again if the work inside fails and left them empty.
    """
    folder = Path(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"space for a page" * 256)
            trial.flush()
    except OSError as error:
        _remove_empty(made)
        raise InputError(f"{folder} can't be written to ({why_not_written(error, folder)}).") from error
    except BaseException:  # Ctrl-C
        _remove_empty(made)
        raise
    try:
        yield folder
    except BaseException:
        _remove_empty(made)
        raise


def _remove_empty(folders: list[Path]) -> None:
    """Remove the innermost first; one that holds something stays, and so do those around it."""
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
