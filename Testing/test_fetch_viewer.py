"""The viewer of the report is taken only as it was pinned, and its absence stops nothing."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[1] / "tools" / "fetch_viewer.py"
CONTENT = b"a viewer"


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("fetch_viewer", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(CONTENT).hexdigest())
    return module


def good():
    return CONTENT


def tampered():
    return CONTENT + b"!"


def offline():
    raise OSError("no network")


def test_the_next_way_is_tried_until_one_brings_the_right_file(tool, tmp_path):
    target = tmp_path / "niivue.umd.js"
    assert tool.fetch(target, (offline, tampered, good)) == "" and target.read_bytes() == CONTENT
    assert tool.fetch(target, (offline,)) == ""  # it is there already
    target.write_bytes(b"something else")
    assert tool.fetch(target, (good,)) == "" and target.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_another_file_is_never_kept(tool, tmp_path):
    problem = tool.fetch(tmp_path / "niivue.umd.js", (offline, tampered))
    assert "no network" in problem and "another SHA-256" in problem and not list(tmp_path.iterdir())


def test_npm_and_the_public_address_bring_the_same_member(tool, tmp_path, monkeypatch):
    """npm is a script that packs as `npm pack` does; the address is a file."""
    with tarfile.open(tmp_path / "made.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("package/dist/niivue.umd.js")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    made = tmp_path / "made.tgz"
    monkeypatch.setattr(tool, "PACKAGE_SHA256", hashlib.sha256(made.read_bytes()).hexdigest())
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/asked"\ncp "{tmp_path}/made.tgz" niivue.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setattr(tool.shutil, "which", lambda name: str(npm))
    assert tool.from_npm() == CONTENT
    assert (tmp_path / "asked").read_text().split() == ["pack", "--silent", "--ignore-scripts", "@niivue/niivue@0.69.0"]
    made.write_bytes(made.read_bytes() + b"!")
    with pytest.raises(OSError, match="not opened"):
        tool.from_npm()
    monkeypatch.setattr(tool.shutil, "which", lambda name: None)
    with pytest.raises(OSError, match="not installed"):
        tool.from_npm()
    (tmp_path / "public.js").write_bytes(CONTENT)
    monkeypatch.setattr(tool, "ADDRESS", (tmp_path / "public.js").as_uri())
    assert tool.from_address() == CONTENT


def test_without_a_way_setup_goes_on_and_says_so_in_one_line(tmp_path):
    copy = tmp_path / "tools" / "fetch_viewer.py"
    copy.parent.mkdir()
    text = TOOL.read_text(encoding="utf-8").replace("https://cdn.jsdelivr.net", "http://127.0.0.1:9")
    copy.write_text(text, encoding="utf-8")
    environment = {"PATH": str(tmp_path), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, copy], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    assert done.stdout == "" and done.stderr.count("\n") == 1
    assert "no interactive viewer" in done.stderr and "npm is not installed" in done.stderr
