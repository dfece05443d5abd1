"""Wheel and source distribution: all is in them, and without extras they do what they promise, and say what they can't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest

from ..tools_as_modules import tool

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("UNetSegmenter", "training", "LICENSE", "pyproject.toml")
BUILD = """
import sys, tarfile
from setuptools import build_meta
dist = sys.argv[1]
archive = build_meta.build_sdist(dist)
with tarfile.open(f"{dist}/{archive}") as tar:
    tar.extractall(f"{dist}/unpacked", filter="data")
import os; os.chdir(f"{dist}/unpacked/" + archive.removesuffix(".tar.gz"))
build_meta.build_wheel(dist)
"""

check_distribution, linked_environment = tool("check_distribution"), tool("linked_environment")


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with both, the wheel built from the unpacked source distribution, as `make dist` does it."""
    source, dist = (tmp_path_factory.mktemp(name) for name in ("source", "dist"))
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(ROOT / part, source / part)
    viewer = source / "UNetSegmenter" / "UNetSegmenterLib" / "engine" / "report" / "niivue.umd.js"
    viewer.touch()  # it is fetched, and a machine without a network has none
    done = subprocess.run([sys.executable, "-c", BUILD, dist], cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dist


@pytest.fixture(scope="module")
def bare(dist, tmp_path_factory):
    """Python of an environment that has the wheel and what it requires, without extras."""
    try:
        return linked_environment.make(tmp_path_factory.mktemp("bare") / "environment", next(dist.glob("*.whl")))
    except (OSError, PackageNotFoundError) as reason:
        pytest.skip(f"no environment by links here: {reason}")


def run(python: Path, *arguments: object) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [python, *map(str, arguments)], capture_output=True, encoding="utf-8", check=False, env=environment
    )


def test_both_hold_all_that_the_package_reads(dist):
    assert check_distribution.problems(dist) == []


def test_a_file_that_is_left_out_is_noticed(dist, tmp_path):
    for archive in dist.glob("*.tar.gz"):
        shutil.copy(archive, tmp_path)
    for wheel in dist.glob("*.whl"):
        with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(tmp_path / wheel.name, "w") as part:
            for name in whole.namelist():
                if not name.endswith("abdomen8.pt"):
                    part.writestr(name, whole.read(name))
    assert check_distribution.problems(tmp_path) == ["the wheel lacks UNetSegmenterLib/models/abdomen8.pt"]


def test_the_wheel_says_what_it_is(dist):
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        metadata = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("dist-info/METADATA"))
        licences = [name for name in wheel.namelist() if "/licenses/" in name]
    assert f"\nVersion: {tool('release').version()}\n" in metadata
    assert "\nLicense-Expression: Apache-2.0\n" in metadata and len(licences) == 2
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
    assert f"\nProject-URL: Repository, {repository}\n" in metadata
    assert "](docs/" not in metadata, "an index shows this text without the repository's files"


COMMANDS = """
import json, sys
import numpy as np, SimpleITK as sitk
from unetseg.cli.main import main
generator = np.random.default_rng(0)
scan = sitk.GetImageFromArray(generator.normal(0, 100, (3, 32, 32)).astype("int16"))
scan.SetSpacing((3.0, 3.0, 3.0))
sitk.WriteImage(scan, "scan.nii.gz")
labels = np.zeros((3, 32, 32), "uint8")
labels[:, 4:20, 4:20] = 1
drawn = sitk.GetImageFromArray(labels)
drawn.CopyInformation(scan)
sitk.WriteImage(drawn, "liver.nii.gz")
ends = [
    main(["segment", "scan.nii.gz", "--output", "segmented"]),
    main(["compare", "liver.nii.gz", "liver.nii.gz", "--output", "compared"]),
    main(["check", "liver.nii.gz", "--scan", "scan.nii.gz", "--output", "checked"]),
    main(["train", sys.argv[1], "--output", "trained", "--steps", "1"]),
]
json.dump([ends, sorted(sys.modules)], open("ends.json", "w"))
"""


def test_without_extras_it_segments_compares_and_checks_and_train_names_its_extra(bare, preprocessed_folder, tmp_path):
    done = run(bare, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{COMMANDS}", preprocessed_folder)
    assert done.returncode == 0, done.stderr
    ends, modules = json.loads((tmp_path / "ends.json").read_text())
    assert ends == [0, 0, 0, 2], done.stderr
    assert {"torch", "SimpleITK"} < set(modules) and not {"monai", "scipy", "pytest", "slicer"} & set(modules)
    for name in ("segmented/scan.seg.nrrd", "compared/report.html", "checked/findings.csv"):
        assert (tmp_path / name).stat().st_size > 0
    said = [line for line in done.stderr.splitlines() if "error" in line]
    assert said == ['unetseg: error: monai is not installed; it comes with: pip install "unetsegmenter[training]"']
    assert not (tmp_path / "trained" / "checkpoint.pt").exists()


def test_the_installed_package_is_the_wheels_own(bare, dist):
    done = run(
        bare, "-c", "import unetseg, UNetSegmenterLib; print(unetseg.__file__); print(UNetSegmenterLib.__file__)"
    )
    folder = bare.parents[1]
    assert [folder in Path(line).parents for line in done.stdout.splitlines()] == [True, True], done.stderr
    version = run(bare, "-m", "unetseg.cli", "--version").stdout.split()
    assert version == ["unetseg", next(dist.glob("*.whl")).name.split("-")[1]]


class Made(Distribution):
    """A package that is only metadata."""

    def __init__(self, *requires: str) -> None:
        self.text = "Name: made\n" + "".join(f"Requires-Dist: {line}\n" for line in requires)

    def read_text(self, filename: str) -> str | None:
        return self.text if filename == "METADATA" else None

    def locate_file(self, path):
        raise NotImplementedError


def test_extras_and_markers_say_what_is_required():
    made = Made(
        'numpy; python_version > "3"', 'nowhere; python_version < "3"', 'made[b]; extra == "a"', 'pytest; extra == "b"'
    )
    assert set(linked_environment.required(made)) == {"numpy"}
    assert {"numpy", "pytest", "pluggy"} <= set(linked_environment.required(made, ["a"]))
    with pytest.raises(PackageNotFoundError):
        linked_environment.required(Made("unetsegmenter-nowhere"))


def test_numpy_is_linked_and_not_copied(bare):
    done = run(bare, "-c", "import numpy; print(numpy.__file__)")
    assert bare.parents[1] in Path(done.stdout.strip()).parents
    assert Path(done.stdout.strip()).resolve() == Path(np.__file__).resolve()
