"""A preprocessed data set that is incomplete or contradicts itself is refused before it is trained on."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from unetseg.data.layouts.detection import read_dataset
from unetseg.data.preprocessed_dataset import ARRAYS, read_preprocessed_dataset, sha256
from unetseg.data.structure_presence import structure_presence
from unetseg.training.preparation import prepare
from UNetSegmenterLib.engine.errors import InputError


@pytest.fixture
def copy(preprocessed_folder, tmp_path):
    return shutil.copytree(preprocessed_folder, tmp_path / "preprocessed")


def edit(folder, change):
    path = folder / "pack.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def replace_array(folder, name, change):
    """Another array with its hash in pack.json, as a tool that knows the format would leave it."""
    array = np.load(folder / name)
    np.save(folder / name, change(array))
    edit(folder, lambda content: content["arrays_sha256"].update({name: sha256(folder / name)}))


def cut_off(folder):
    content = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(content[:-100])


def flipped(folder):
    content = bytearray((folder / "labels.npy").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "labels.npy").write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (cut_off, "images.npy is not the array"),
        (flipped, "labels.npy is not the array"),
        (lambda folder: (folder / "labels.npy").unlink(), "damaged preprocessed"),
        (lambda folder: edit(folder, lambda content: content["arrays_sha256"].pop("labels.npy")), "lacks 'labels.npy'"),
        (lambda folder: edit(folder, lambda content: content.pop("cases")), "lacks 'cases'"),
        (lambda folder: edit(folder, lambda content: content.update(arrays_sha256=[])), "damaged preprocessed"),
        (lambda folder: replace_array(folder, "labels.npy", lambda array: array[:-1]), "labels.npy has the shape"),
        (
            lambda folder: replace_array(folder, "labels.npy", lambda array: array[:, :, :-1]),
            "labels.npy has the shape",
        ),
        (lambda folder: replace_array(folder, "presence.npy", lambda array: array[1:]), "presence.npy has the shape"),
        (lambda folder: (folder / "presence.npy").unlink(), "damaged preprocessed"),
        (lambda folder: replace_array(folder, "images.npy", lambda array: array.astype(np.float32)), "float32"),
        (lambda folder: replace_array(folder, "images.npy", lambda array: array[0]), "2 dimensions"),
        (lambda folder: edit(folder, lambda content: content["cases"][-1].update(stop=10**6)), "outside its arrays"),
        (lambda folder: edit(folder, lambda content: content["cases"][0].update(rows=10**6)), "outside its arrays"),
        (lambda folder: edit(folder, lambda content: content["splits"]["train"].append("nobody")), "nobody"),
        (lambda folder: (folder / "pack.json").write_text('{"name": "half'), "damaged preprocessed"),
    ],
)
def test_a_data_set_that_contradicts_itself_is_refused(copy, damage, words):
    assert len(read_preprocessed_dataset(copy).images)
    damage(copy)
    with pytest.raises(InputError) as caught:
        read_preprocessed_dataset(copy)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def touched_like(path, stored):
    os.utime(path, ns=(stored["mtime_ns"], stored["mtime_ns"]))


def test_opening_reads_no_array_whose_size_and_time_are_unchanged(copy):
    """A change that neither shows is found when the hashes are asked for, and by every opening once the time differs."""
    stored = json.loads((copy / "pack.json").read_text())["arrays_stored"]["labels.npy"]
    flipped(copy)
    with pytest.raises(InputError, match=r"labels\.npy is not the array"):
        read_preprocessed_dataset(copy)
    touched_like(copy / "labels.npy", stored)
    read_preprocessed_dataset(copy)
    with pytest.raises(InputError, match=r"labels\.npy is not the array"):
        read_preprocessed_dataset(copy, verify=True)


def test_a_copy_that_keeps_no_times_or_whole_seconds_alone_is_opened(copy):
    stored = json.loads((copy / "pack.json").read_text())["arrays_stored"]["images.npy"]
    os.utime(copy / "images.npy")
    read_preprocessed_dataset(copy)
    second = stored["mtime_ns"] // 10**9 * 10**9
    os.utime(copy / "images.npy", ns=(second, second))
    edit(copy, lambda content: content["arrays_sha256"].update({"images.npy": "not asked for"}))
    read_preprocessed_dataset(copy)


def test_data_sets_of_earlier_versions_are_compared_with_their_hashes(copy):
    edit(copy, lambda content: content.pop("arrays_stored"))
    edit(copy, lambda content: content["arrays_sha256"].pop("presence.npy"))
    (copy / "presence.npy").unlink()
    assert read_preprocessed_dataset(copy).presence is None
    flipped(copy)
    with pytest.raises(InputError, match=r"labels\.npy is not the array"):
        read_preprocessed_dataset(copy)


def test_the_stored_presence_is_that_of_the_labels(preprocessed):
    expected = [[(labels == index).any() for index in range(1, 8)] for labels in preprocessed.labels]
    assert np.array_equal(preprocessed.presence, expected)
    assert np.array_equal(structure_presence(preprocessed.labels, preprocessed.structures), expected)
    assert replace(preprocessed, labels=np.zeros_like(preprocessed.labels)).presence is None, "not that of other labels"


def test_the_arrays_are_those_that_numpy_writes(preprocessed_folder, tmp_path):
    for name in ARRAYS:
        np.save(tmp_path / name, np.load(preprocessed_folder / name))
        assert (tmp_path / name).read_bytes() == (preprocessed_folder / name).read_bytes()


def test_a_data_set_larger_than_the_disk_is_refused_before_anything_is_written(hearts, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**16))
    read = []
    with pytest.raises(InputError) as caught:
        prepare(read_dataset(hearts), tmp_path / "a" / "b", spacing_mm=6.0, progress=lambda *done: read.append(done))
    assert "b would take 0.0 GB (40 slices of 48 x 48 pixels), and 0.0 GB of its disk are free" in str(caught.value)
    assert not read
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit_bytes", [60_000, 150_000])
def test_a_disk_that_is_full_while_it_is_written_leaves_nothing(hearts, tmp_path, limit_bytes):
    """No file may be larger than the limit, as if the disk ended there: in the labels, and in the images alone."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from unetseg.cli.main import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit_bytes},) * 2)\n"
        f"sys.exit(main(['prepare', {str(hearts)!r}, {str(tmp_path / 'made')!r}, '--spacing', '6', '--window', '-100,500']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 2, done.stderr
    assert "made could not be written (File too large" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_relative_folder_is_written_like_an_absolute_one(hearts, preprocessed, tmp_path, monkeypatch):
    """The arrays are files of the folder itself while they are filled, whatever its spelling."""
    monkeypatch.chdir(tmp_path)
    made = prepare(read_dataset(hearts), Path("made"), spacing_mm=6.0, window_hu=(-100.0, 500.0), test=1, validation=1)
    assert np.array_equal(made.images, preprocessed.images)
    assert np.array_equal(made.labels, preprocessed.labels)
