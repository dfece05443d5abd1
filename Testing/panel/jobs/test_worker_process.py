"""The worker's private folder goes with it, also where the system does not let go of it at once."""

from __future__ import annotations

import shutil

from host.pressing import turn
from UNetSegmenterLib.panel.jobs import worker_process
from UNetSegmenterLib.panel.jobs.worker_process import WorkerProcess


def test_a_folder_that_is_still_held_is_removed_later(monkeypatch):
    """As on Windows, where a killed process holds the files that it mapped a moment longer."""
    remove, held = shutil.rmtree, [True, True]
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: held.pop() if held else remove(path, **options))
    monkeypatch.setattr(worker_process, "REMOVAL_MS", 5)
    worker = WorkerProcess()
    folder = worker.folder
    worker.close()
    assert folder.is_dir()
    turn(lambda: not folder.exists())


def test_it_is_not_tried_for_ever(monkeypatch):
    tries = []
    monkeypatch.setattr(shutil, "rmtree", lambda path, **options: tries.append(path))
    monkeypatch.setattr(worker_process, "REMOVAL_MS", 1)
    worker = WorkerProcess()
    folder = worker.folder
    worker.close()
    turn(lambda: len(tries) == worker_process.REMOVALS)
    monkeypatch.undo()
    folder.rmdir()
