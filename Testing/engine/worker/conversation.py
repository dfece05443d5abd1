"""A worker as a process of its own, and the two pipes to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from UNetSegmenterLib.engine.worker import service

PACKAGE_ROOT = Path(service.__file__).resolve().parents[3]


class Conversation:
    """A worker and its two pipes."""

    def __init__(self, *arguments, code=None, before=()):
        command = [sys.executable, "-m", "UNetSegmenterLib.engine.worker", *arguments]
        if code is not None:
            command = [*before, sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PACKAGE_ROOT)}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)

    def say(self, **request):
        self.process.stdin.write((json.dumps(request) + "\n").encode())
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, **request):
        self.say(**request)
        return self.hear()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        try:
            self.process.communicate(timeout=10)  # it ends with its input
        finally:
            self.process.kill()
            self.process.communicate()
