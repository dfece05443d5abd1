"""A real Chromium for tests, driven over its debugging pipe: real mouse and keys, screenshots, and every request it makes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_SECONDS = 180
_KEEP_DRAWN = """
const plain = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, options) {
  return plain.call(this, kind, { ...options, preserveDrawingBuffer: true });
};"""  # so that a canvas can be read after it was drawn


class Page:
    """One page in a headless Chromium that has no network; use as a context manager."""

    def __init__(self, path, folder, webgl=True, size=(1000, 900)):
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        graphics = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        command = [
            BROWSER, "--headless", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run", "--disable-sync",
            "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}", f"--window-size={size[0]},{size[1]}",
            *(graphics if webgl else ["--disable-gpu", "--disable-3d-apis"]), "about:blank",
        ]  # fmt: skip

        def pipes():
            os.dup2(theirs_in, 3)
            os.dup2(theirs_out, 4)

        # Chromium reads descriptor 3 and writes descriptor 4.
        self._process = subprocess.Popen(
            command, pass_fds=(3, 4, theirs_in, theirs_out),
            preexec_fn=pipes,  # noqa: PLW1509 - no threads here
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in), os.close(theirs_out)
        self._buffer, self._number, self._session = b"", 0, None
        self.requests, self.problems = [], []
        target = next(t for t in self.ask("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.ask(f"{domain}.enable")
        self.ask("Page.addScriptToEvaluateOnNewDocument", source=_KEEP_DRAWN)
        self.ask("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        os.close(self._in), os.close(self._out)

    def ask(self, method, **parameters):
        """Send a command of the DevTools protocol and return its result."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _read(self):
        while b"\0" not in self._buffer:
            part = os.read(self._in, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event):
        content = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(content["request"]["url"][:80])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(content["exceptionDetails"].get("exception", {}).get("description", "?"))
        elif event.get("method") == "Log.entryAdded" and content["entry"]["level"] == "error":
            self.problems.append(content["entry"]["text"])

    def run(self, expression):
        """Value of a JavaScript expression; promises are waited for."""
        done = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression):
        """Until a JavaScript expression is true."""
        end = time.monotonic() + _SECONDS
        while not self.run(expression):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.1)

    def box(self, selector):
        """Left, top, width, height of an element in the window, after scrolling it into view."""
        return self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center', "
            "behavior: 'instant'}); const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()"
        )

    def click(self, selector, across=0.5, down=0.5):
        """A real click at a position within an element, given as fractions of its size."""
        left, top, width, height = self.box(selector)
        at = {"x": left + width * across, "y": top + height * down}
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def press(self, key, code=0):
        """A real key stroke on what has the focus."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def screenshot(self, path):
        """What the window shows, written as PNG."""
        Path(path).write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def pixels(self, canvas):
        """What a canvas holds, as an array (height, width, channels) from 0 to 1."""
        import io

        from matplotlib.image import imread

        url = self.run(f"document.querySelector({json.dumps(canvas)}).toDataURL('image/png')")
        return np.asarray(imread(io.BytesIO(base64.b64decode(url.split(",")[1])), format="png"))
