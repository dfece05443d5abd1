"""Where one process of a run fails, all end: the others would wait for its gradients, on a GPU for a long time."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from torch.distributed import TCPStore
from UNetSegmenterLib.engine.errors import InputError

from .run_lock import Stopped

FAILED = 2  # the exit status of bad input, which every process of the run ends with
TIME_TO_READ = timedelta(seconds=10)  # for the other processes to take note
SECONDS_TO_END = 5.0  # for a process to end by itself
_FOREVER = timedelta(days=3650)
_count = itertools.count()  # all processes open their watches in the same order, so they agree on the names


class FailureWatch:
    """Tells the other processes of a run that this one fails, and ends this one where another does.

    A process that waits for the others inside a collective operation can't be woken, neither by an exception nor by a
    signal, so a thread ends it. Each process waits for a message under a name of its own in the store where they met.

    Args:
        rank: number of this process.
        world_size: number of processes.
        address: host of the store.
        port: port of the store.
    """

    def __init__(self, rank: int, world_size: int, address: str, port: int) -> None:
        self.rank, self.world_size = rank, world_size
        self._prefix = f"unetseg/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}.{next(_count)}"
        self._store, waiting = (
            TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=_FOREVER) for _ in range(2)
        )
        self._over = False
        # Held by what reports a failure: this process's own work, or the watch for another process.
        self._speaks = threading.Lock()
        threading.Thread(target=self._wait, args=(waiting,), daemon=True, name="failure watch").start()

    @contextmanager
    def all_end(self) -> Iterator[None]:
        """End all processes where the work inside fails in this one, with one sentence of the main process."""
        try:
            yield
        except Stopped:  # which all of them agreed upon
            self.close()
            raise
        except BaseException as error:
            if self._over:
                raise
            if not self._speaks.acquire(blocking=False):
                _end_later()  # the watch reports another process's failure, and ends this one before that
            is_reported = self._tell(
                str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            )
            if is_reported and isinstance(error, InputError):
                raise SystemExit(FAILED) from error
            raise

    def close(self) -> None:
        """End the watch: from now on every process ends when it likes."""
        if not self._over:
            self._over = True
            self._store.set(self._inbox(self.rank), "")

    def _inbox(self, rank: int) -> str:
        return f"{self._prefix}/message/{rank}"

    def _read(self, rank: int) -> str:
        return f"{self._prefix}/read/{rank}"

    def _tell(self, reason: str) -> bool:
        """Send the reason to the other processes, and see to it that this one ends; whether the main process says it."""
        self._over = True
        threading.Thread(target=_end_later, daemon=True).start()
        text = f"{reason.rstrip('.')} (process {self.rank} of {self.world_size}; all of them end)"
        with suppress(RuntimeError):  # the main process is gone, and the store with it
            for rank in range(self.world_size):
                self._store.set(self._inbox(rank), "" if rank == self.rank else text)
            if self.rank == 0:
                self._store.set(self._read(0), "")
                self._wait_for_readers(self._store, range(1, self.world_size))
                return False
            self._wait_for_readers(self._store, [0])
            # Not before: the main process, and the store with it, waits for this.
            self._store.set(self._read(self.rank), "")
            return True
        return False

    def _wait_for_readers(self, store: TCPStore, ranks: Iterable[int]) -> None:
        store.wait([self._read(rank) for rank in ranks], TIME_TO_READ)

    def _wait(self, store: TCPStore) -> None:
        """Wait for a message, and end this process if another one fails."""
        try:
            text = store.get(self._inbox(self.rank)).decode()
        except RuntimeError:
            text = "the main process is gone"
        if self._over or not text or not self._speaks.acquire(blocking=False):
            return
        with suppress(RuntimeError):
            if self.rank == 0:
                sys.stderr.write(f"unetseg: error: {' '.join(text.split())}\n")
                sys.stderr.flush()
            store.set(self._read(self.rank), "")
            if self.rank == 0:  # the store ends with this process, so it goes last
                self._wait_for_readers(store, range(1, self.world_size))
        os._exit(FAILED)


def _end_later() -> None:
    """End this process where its own way out is blocked by an operation that the other processes never join."""
    time.sleep(TIME_TO_READ.total_seconds() + SECONDS_TO_END)
    os._exit(FAILED)
