"""The viewer of a one-case report: NiiVue, the case's images and the controls, all inside the page."""

from __future__ import annotations

import base64
import gzip
import json
from functools import cache
from html import escape
from pathlib import Path

from .html_parts import fill
from .viewer_data import ViewerData

LIBRARY = Path(__file__).with_name("niivue.umd.js")
"""NiiVue's bundle, which tools/fetch_viewer.py brings; without it a report is whole but static."""
_LICENSE = Path(__file__).with_name("niivue-LICENSE.txt")
_ABSENT = (
    "This report has no interactive viewer, because NiiVue was not installed where it was written (make setup, or "
    "python tools/fetch_viewer.py, fetches it). Everything else is here."
)


def viewer_html(data: ViewerData | None) -> str:
    """The viewer, closed until somebody opens it; one sentence where NiiVue is not there; nothing without data."""
    if data is None:
        return ""
    if not LIBRARY.is_file():
        return f'<p class="viewer-note">{_ABSENT}</p>'
    here = Path(__file__).parent
    template = (here / "viewer.html").read_text(encoding="utf-8")
    options = "".join(
        f'<option value="{n}">{escape(name)}</option>' for n, (name, _, _) in enumerate(data.structures, 1)
    )
    setup = {
        "names": ["", *(name for name, _, _ in data.structures)],
        "colors": [[0, 0, 0], *(list(color) for _, color, _ in data.structures)],
        "places": [None, *(None if ras is None else [round(mm, 1) for mm in ras] for _, _, ras in data.structures)],
        "window": list(data.window_hu),
    }
    fields = {
        "options": options,
        "words": escape(data.words),
        "license": escape(_LICENSE.read_text(encoding="utf-8")),
        "setup": json.dumps(setup).replace("<", "\\u003c"),
        "library": _packed_library(LIBRARY.stat().st_mtime),
        **{key: base64.b64encode(getattr(data, key)).decode() for key in ("scan", "prediction", "reference")},
        "script": (here / "viewer.js").read_text(encoding="utf-8"),
    }
    return fill(template, fields)


@cache
def _packed_library(changed: float) -> str:  # `changed`: a library that was fetched meanwhile is read anew
    return base64.b64encode(gzip.compress(LIBRARY.read_bytes(), 9, mtime=0)).decode()
