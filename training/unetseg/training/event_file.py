"""The file that TensorBoard reads, written by the thread that trains: a full disk is an error there and nowhere else."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

_VERSION = "brain.Event:2"


class EventFile:
    """Scalars of one run by step; torch's SummaryWriter has a thread of its own, which prints its exceptions."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """Begin a file of its own; TensorBoard drops what earlier files of `folder` show from `first_step` on.

        Raises:
            OSError: the file can't be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name  # files are read in the order of their names
        self._append(
            Event(file_version=_VERSION),
            Event(step=first_step, session_log=SessionLog(status=SessionLog.START)),
        )

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Append one value each. Raises OSError if they can't be written."""
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._append(Event(step=step, summary=Summary(value=values)))

    def _append(self, *events: Event) -> None:
        with self.path.open("ab") as file:
            records = RecordWriter(file)
            for event in events:
                event.wall_time = time.time()
                records.write(event.SerializeToString())
