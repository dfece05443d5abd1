"""What a command ends with, one table for all of them, and the exceptions that a status belongs to."""

from __future__ import annotations

from UNetSegmenterLib.engine.errors import InputError

DONE = 0
DONE_IN_PART = 1
"""Some cases failed and are named, the results of the others are there. An unexpected error, with its traceback, has it too."""
BAD_INPUT = 2
"""Bad usage or bad input, and nothing was done."""
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: saved before the wall time ended; what schedulers queue again (LSF: bsub -Q "75")."""
INTERRUPTED, PIPE_ENDED, TERMINATED = 130, 141, 143
"""Stopped by Ctrl-C, by the end of what read the output, by SIGTERM: 128 + the signal's number, as a shell has it."""


class DoneInPartError(InputError):
    """Some of the cases can't be used; the results of the others are written."""

    exit_status = DONE_IN_PART
