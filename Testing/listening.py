"""Where processes listen while they run, as the system sees it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

SECONDS_BETWEEN_LOOKS = 0.1


def sockets(process: subprocess.Popen) -> set[tuple[str, str]]:
    """Kind and address of every socket of the Internet that this process and its children have now, listening or connected."""
    found: set[tuple[str, str]] = set()
    with suppress(psutil.Error):
        own = psutil.Process(process.pid)
        for one in (own, *own.children(recursive=True)):
            with suppress(psutil.Error):
                open_now = [each for each in one.net_connections(kind="inet") if each.laddr]
                found |= {(each.status, each.laddr.ip.removeprefix("::ffff:")) for each in open_now}
    return found


def sockets_until_all_end(processes: Sequence[subprocess.Popen], seconds: float = 240) -> set[tuple[str, str]]:
    """All that `sockets` sees until the last of them has ended; raises TimeoutError if they go on too long."""
    found: set[tuple[str, str]] = set()
    deadline = time.monotonic() + seconds
    while any(process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still running after {seconds} seconds")
        found |= {one for process in processes for one in sockets(process)}
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return found
