"""The program `unetseg`, also as `python -m unetseg.cli`, which torchrun and job scripts start."""

import os
import signal
import sys
from typing import NoReturn


def start() -> NoReturn:
    """Run the command of this process, and end the process with its exit status.

    Before and after the command's own handling of Ctrl-C, it ends the process in silence. A process that was stopped by Ctrl-C at
    a terminal ends by that signal: a shell has status 130 for it as well, but also ends the loop that it was started from.
    """
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if by_default:  # else the shell has ignored it, as for jobs in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ..stop_signals import STARTED_BY, leave_to_the_parent

    if os.environ.get(STARTED_BY) == str(os.getppid()):
        leave_to_the_parent()
    from ..exit_status import INTERRUPTED
    from .main import main

    try:
        status: object = main()
    except SystemExit as stop:
        status = stop.code
    if status == INTERRUPTED and by_default and sys.stderr.isatty():
        sys.excepthook = lambda *_: None
        raise KeyboardInterrupt
    sys.exit(status)  # type: ignore[arg-type]


if __name__ == "__main__":
    start()
