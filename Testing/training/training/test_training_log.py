"""metrics.csv and TensorBoard's events: what a viewer reads in them, and what a full disk ends in."""

import csv
import logging
import math
import threading

import numpy as np
import pytest
from unetseg.training.training_log import TrainingLog
from UNetSegmenterLib.engine.errors import InputError

from ...torture.full_disk import remount, small_disk

STRUCTURES = ["liver", "left kidney"]
DICE = np.array([[0.5, np.nan], [0.7, np.nan]])


def scalars(folder):
    """Steps and values by tag, as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.ERROR)
    reader = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return {tag: [(event.step, event.value) for event in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}


def test_tensorboard_reads_what_the_table_has_and_drops_the_steps_that_a_run_repeats(tmp_path):
    before = TrainingLog(tmp_path, STRUCTURES)
    for step in (10, 20, 30):
        before.write(step, step / 100, 1e-3, DICE)
    resumed = TrainingLog(tmp_path, STRUCTURES, first_step=20)
    resumed.write(30, 0.5, 1e-4, None)

    found = scalars(tmp_path / "tensorboard")
    assert found["loss"] == [(10, pytest.approx(0.1)), (20, pytest.approx(0.2)), (30, pytest.approx(0.5))]
    assert found["dice_liver"][:2] == [(10, pytest.approx(0.6)), (20, pytest.approx(0.6))]
    assert math.isnan(found["dice_left kidney"][0][1])
    with (tmp_path / "metrics.csv").open() as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["0.1", "0.2", "0.5"]


def test_a_full_disk_is_one_sentence_and_nothing_else(tmp_path, capfd):
    threads = threading.active_count()
    with small_disk(tmp_path / "disk") as disk:
        if isinstance(disk, str):
            pytest.skip(disk)
        remount(disk, 64, 0)
        log = TrainingLog(disk / "run", STRUCTURES)
        filler = disk / "filler"
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        with pytest.raises(InputError, match=r"No space left on device\) at step 7; free some space"):
            for _ in range(200):  # until the last block of each file is full
                log.write(7, 0.5, 1e-3, DICE)
        with pytest.raises(
            InputError, match=r"tensorboard.* could not be written \(No space left on device\) at step 7"
        ):
            TrainingLog(disk / "run", STRUCTURES, first_step=7)

        filler.unlink()
        TrainingLog(disk / "run", STRUCTURES, first_step=7).write(8, 0.5, 1e-3, DICE)
    assert threading.active_count() == threads, "an exception in another thread is printed, not caught"
    assert not capfd.readouterr().err
