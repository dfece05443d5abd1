"""Pictures of report pages, by the Chromium that the tests drive."""

from __future__ import annotations

import base64
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "Testing" / "engine"))

from chromium import Page

MARGIN = 28


@contextmanager
def opened(path: Path, width: int, height: int) -> Iterator[Any]:
    """A page in a window of that many pixels."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        Page(path, profile, size=(width, height)) as page,
    ):
        page.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        page.run("document.documentElement.style.scrollBehavior = 'auto'")
        yield page


def top_of_page(path: Path, picture: Path, width: int, height: int) -> None:
    """What a reader sees first."""
    with opened(path, width, height) as page:
        keep(page, picture, (0, 0, width, height))


def keep(page: Any, picture: Path, clip: tuple[float, float, float, float]) -> None:
    """A part of the page, x, y, width and height in its pixels."""
    time.sleep(0.5)  # canvases are drawn after the page has answered
    area = dict(zip(("x", "y", "width", "height"), clip, strict=True), scale=1)
    data = page.ask("Page.captureScreenshot", clip=area, captureBeyondViewport=True)["data"]
    picture.write_bytes(base64.b64decode(data))


def box_of(page: Any, selector: str) -> tuple[float, float, float, float]:
    """Where an element lies in the page, with a margin: x, y, width, height."""
    script = f"(() => {{ const b = document.querySelector('{selector}').getBoundingClientRect(); "
    left, top, width, height = page.run(
        f"{script} return [b.left + scrollX, b.top + scrollY, b.width, b.height]; }})()"
    )
    return max(left - MARGIN, 0), max(top - MARGIN, 0), width + 2 * MARGIN, height + 2 * MARGIN
