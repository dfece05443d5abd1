"""Consoles of any encoding, closed or ending; extras that are not installed; Ctrl-C: one sentence, never a traceback."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from unetseg.console import print_line, progress, table, warn
from UNetSegmenterLib.engine.io.geometry import Geometry
from UNetSegmenterLib.engine.io.image_writing import write_volume
from UNetSegmenterLib.engine.io.volume import Volume

from ..command import refused, tree, unetseg
from ..datasets import write_dataset, write_scan

PROGRAM = [sys.executable, "-m", "unetseg.cli"]
EXTRAS = {
    "training": ("monai", "lightning_fabric", "scipy", "tensorboard", "matplotlib"),
    "scene": ("slicer", "vtk", "vtkmodules"),
}


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    """A data set whose structure is called by a name that few consoles have the letters for."""
    folder = write_dataset(tmp_path_factory.mktemp("names") / "set", cases=2)
    description = (folder / "dataset.json").read_text(encoding="utf-8")
    (folder / "dataset.json").write_text(
        description.replace("liver", "肝脏 ±").replace("Blobs", "Naïve 漢"), encoding="utf-8"
    )
    return folder


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_scan(tmp_path_factory.mktemp("scans") / "漢.nii.gz")


def shell(line, **environment):
    """A shell's line; {} in it is the program."""
    command = f'"{sys.executable}" -m unetseg.cli'
    variables = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        ["bash", "-c", line.replace("{}", command)], capture_output=True, env=variables, check=False, timeout=300
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_console_of_any_encoding(chinese, encoding):
    done = subprocess.run(
        [*PROGRAM, "info", str(chinese)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    assert {"cp1252": "Naïve ?", "ascii": "Na?ve ?", "utf-8": "Naïve 漢"}[encoding] in text
    assert {"cp1252": "?? ±", "ascii": "?? ?", "utf-8": "肝脏 ±"}[encoding] in text
    assert text.isascii() or encoding != "ascii"


def test_a_name_that_is_no_text(tmp_path):
    """A file name of bytes that are no UTF-8, as an old archive leaves them."""
    path = os.fsencode(tmp_path) + b"/gro\xdf.nii.gz"
    try:
        open(path, "wb").close()
    except OSError:
        pytest.skip("this file system has no such names")
    refused(unetseg("info", os.fsdecode(path)), "it is empty")


@pytest.mark.parametrize("arguments", ["--help", "info SCAN", "segment SCAN --checkpoint MODEL --output OUT"])
def test_a_pipe_that_ends_and_an_output_that_is_closed(arguments, scan, checkpoint, tmp_path):
    names = {"SCAN": scan, "MODEL": checkpoint, "OUT": tmp_path / "out"}
    for name, path in names.items():
        arguments = arguments.replace(name, f'"{path}"')
    ended = shell(f"{{}} {arguments} | true; echo status ${{PIPESTATUS[0]}}", PYTHONUNBUFFERED="1")
    assert b"Traceback" not in ended.stderr and b"Exception ignored" not in ended.stderr, ended.stderr
    assert ended.stdout == b"status 141\n"
    assert ended.stderr.count(b"\n") == 1 and b"whatever read the output has ended" in ended.stderr
    closed = shell(f"{{}} {arguments} >&-")
    assert closed.returncode == 0, closed.stderr
    assert closed.stderr.count(b"\n") == 1 and b"standard output is closed" in closed.stderr
    both = shell(f"{{}} {arguments} >&- 2>&-")
    assert both.returncode == 0 and not both.stdout
    if os.path.exists("/dev/full"):
        full = shell(f"{{}} {arguments} > /dev/full")
        assert full.returncode == 2 and full.stderr.count(b"\n") == 1 and b"free some space" in full.stderr, full.stderr
    assert not any(".partial" in path for path in tree(tmp_path))


@pytest.fixture
def without(tmp_path):
    """Folders that stand in front of installed packages and hold none: as if an extra were not installed."""

    def stand_in(extra):
        front = tmp_path / f"without-{extra}"
        front.mkdir()
        for name in EXTRAS[extra]:
            (front / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')\n")
        return {"PYTHONPATH": os.pathsep.join([str(front), os.environ.get("PYTHONPATH", "")])}

    return stand_in


def test_without_the_training_extra(without, chinese, scan, checkpoint, tmp_path):
    lacking, words = without("training"), 'pip install "unetsegmenter[training]"'
    refused(unetseg("info", scan, "--plot", tmp_path / "a.png", **lacking), "matplotlib", words)
    refused(unetseg("info", chinese, "--plot", tmp_path / "a.png", **lacking), "matplotlib", words)
    assert unetseg("info", chinese, **lacking).returncode == 0
    done = unetseg("prepare", chinese, tmp_path / "preprocessed", "--spacing", 2, **lacking)
    assert done.returncode == 0, done.stderr
    small = ("--base-width", 4, "--depth", 2, "--batch-size", 2, "--steps", 2, "--device", "cpu", "--patch", "32,32")
    train = ("train", tmp_path / "preprocessed", *small)
    refused(unetseg(*train, "--output", tmp_path / "run", "--loss", "dice", **lacking), "monai", words)
    assert not (tmp_path / "run").exists()
    refused(unetseg(*train, "--output", tmp_path / "run", "--devices", 2, **lacking), "Lightning Fabric", words)
    done = unetseg(*train, "--output", tmp_path / "run", "--loss", "cross_entropy", **lacking)
    assert done.returncode == 0, done.stderr
    done = unetseg("segment", scan, "--checkpoint", checkpoint, "--output", tmp_path / "out", **lacking)
    assert done.returncode == 0, done.stderr
    against = ("evaluate", checkpoint, chinese, "--baseline", checkpoint, "--output", tmp_path / "evaluated")
    refused(unetseg(*against, **lacking), "scipy", words)
    assert not (tmp_path / "evaluated").exists(), "refused before the work"


def test_without_the_scene_extra_all_else_is_there(without, scan, checkpoint, tmp_path):
    out = tmp_path / "out"
    done = unetseg("demo", "--scan", scan, "--checkpoint", checkpoint, "--output", out, **without("scene"))
    assert done.returncode == 0, done.stderr
    assert "unetsegmenter[scene]" in done.stderr and "Traceback" not in done.stderr
    assert {"summary.json", "漢.seg.nrrd"} <= tree(out)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("number", "status", "words"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_stopped_in_the_middle(number, status, words, checkpoint, tmp_path):
    """A prediction that begins again and again, so that the signal comes in the middle of one on any machine."""
    endless = (
        "import sys; from unetseg.cli.main import main; from unetseg.evaluation import scan_prediction\n"
        "def predict(*arguments, once=scan_prediction.predict, **named):\n"
        "    while True: once(*arguments, **named)\n"
        "scan_prediction.predict = predict; sys.exit(main(sys.argv[1:]))\n"
    )
    noise = np.random.default_rng(0).integers(-1000, 1500, (200, 96, 96)).astype(np.int16)
    write_volume(Volume(noise, Geometry(noise.shape, (1.0, 2.0, 2.0))), tmp_path / "noise.nii")
    arguments = ("segment", tmp_path / "noise.nii", "--checkpoint", checkpoint, "--output", tmp_path / "out")
    started = subprocess.Popen(
        [sys.executable, "-c", endless, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        encoding="utf-8",
    )
    assert " on " in started.stdout.readline(), "it has opened the checkpoint and begins"
    assert "200 of 200" in started.stdout.readline(), "it predicts"
    started.send_signal(number)
    _, said = started.communicate(timeout=60)
    assert (started.returncode, said.count("\n")) == (status, 1), said
    assert words in said
    assert not (tmp_path / "out").exists(), f"{tree(tmp_path)}: nothing was finished"


HOSTILE = [
    "[/bold]",
    "[bold]x",
    "\x1b]0;title\x07",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "a\x08\x08b",
    "[link=file:///x]y[/link]",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_neither_markup_nor_a_command_to_the_terminal(name, capsys):
    print_line(name)
    warn(name)
    table([name, name], [[name, name]], name)
    with progress(name, "slices") as show:
        show(1, 1, name)
    shown = capsys.readouterr()
    assert not {code for text in shown for code in text if ord(code) < 32 or 127 <= ord(code) < 160} - {"\n"}
    letters = "".join(letter for letter in name if letter.isprintable())
    assert shown.out.count(letters) >= 5 if letters == name else "\ufffd" in shown.out
    assert "warning" in shown.err


def test_the_time_left_is_of_whole_steps_and_falls(monkeypatch, capsys):
    """Within a step, such as the slices of a case, it must not grow with the time that has passed."""
    clock = SimpleNamespace(seconds=0.0, monotonic=lambda: clock.seconds)
    monkeypatch.setattr("unetseg.console.time", clock)
    with progress("evaluating", "cases") as show:
        for seconds, done in ((11.0, 0), (40.0, 1), (55.0, 1), (70.0, 1), (200.0, 1)):
            clock.seconds = seconds
            show(done, 2, "case")
    lines = capsys.readouterr().out.splitlines()[:-1]
    assert [line.partition("case, ")[2] for line in lines] == ["", "40 s left", "25 s left", "10 s left", ""]


def test_a_refusal_names_a_file_without_what_a_terminal_obeys(tmp_path):
    done = unetseg(
        "segment", tmp_path / "a\x1b]0;b\x07.nii.gz", "--checkpoint", "none.pt", "--output", tmp_path / "out"
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr + done.stdout
    assert "\x07" not in done.stderr + done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of memory that Linux enforces")
def test_the_end_of_the_memory_is_one_line(checkpoint, tmp_path):
    """A process that may have 3 GB more, and a scan that needs more for its slices at the network's grid."""
    limited = (
        "import resource, sys; from unetseg.cli.main import main; import torch\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * 4096\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 2**30,) * 2); sys.exit(main(sys.argv[1:]))\n"
    )
    thin = np.random.default_rng(0).integers(-1000, 1500, (400, 8, 8)).astype(np.int16)
    write_volume(Volume(thin, Geometry(thin.shape, (1.0, 500.0, 500.0))), tmp_path / "huge.nii")
    arguments = ("segment", tmp_path / "huge.nii", "--checkpoint", checkpoint, "--output", tmp_path / "out")
    result = subprocess.run(
        [sys.executable, "-c", limited, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 1, result.stderr
    assert "memory is full" in result.stderr and "Traceback" not in result.stderr
