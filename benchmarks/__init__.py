"""Measurements of speed, memory and agreement; each is started as `python -m benchmarks.NAME`."""

import signal
import sys

if sys.argv[0] == "-m" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Started as a program: Ctrl-C ends it in silence while it imports; later unetseg.cli.main.guarded says one sentence.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
