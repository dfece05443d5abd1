"""The proofs for a GPU, rehearsed on a CPU: they run, they notice what is wrong, and they keep to their time."""

from __future__ import annotations

import json
import sys
import zipfile

import pytest
import torch
from unetseg.data.preprocessed_dataset import read_preprocessed_dataset
from unetseg.training.configuration import TrainingConfig
from unetseg.training.training_loop import train

from benchmarks.gpu import carried
from benchmarks.gpu.__main__ import all_proofs, main
from benchmarks.gpu.bundle import pack
from benchmarks.gpu.hardware import peak_of
from benchmarks.gpu.proof import Goal, Proof, Result, share_of_time
from benchmarks.gpu.release_training import CONFIGURATION, release_configuration
from benchmarks.gpu.run_comparison import difference
from benchmarks.gpu.summary import SKIPPED, write_summary
from benchmarks.gpu.synthetic import write_hearts


def proofs(*times: tuple[float, float]) -> list[Proof]:
    return [Proof(f"p{i}", f"proof {i}", lambda setup: Result(), *pair) for i, pair in enumerate(times)]


def test_time_goes_to_the_important_ones_and_each_keeps_its_least():
    some = proofs((10, 20), (30, 60), (50, 1000))
    assert share_of_time(some, 1000) == (20, [])
    assert share_of_time(some, 95) == (15, [])
    assert share_of_time(some, 60) == (20, some[2:])
    assert share_of_time(some[2:], 700) == (700, [])
    assert share_of_time(some, 5) == (0, some)


def test_the_least_of_all_proofs_fits_into_the_eight_minutes():
    assert sum(proof.at_least_s for proof in all_proofs(small=False)) < 8 * 60 * 0.7


@pytest.mark.slow
def test_two_proofs_and_the_summary(tmp_path, capfd):
    status = main(["--output", str(tmp_path), "--small", "--device", "cpu", "--only", "prediction,exchange"])
    assert status == 0, capfd.readouterr().out
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["ok"]
    assert list(summary["proofs"]) == ["prediction", "exchange"]
    figures = summary["proofs"]["prediction"]["figures"]
    assert 0 < figures["network_share"] < 1
    assert figures["structure_voxels"] > 0
    assert [row["on_the_device"] for row in summary["proofs"]["exchange"]["figures"]["table"]] == ["100%", "50%", "10%"]
    assert {goal["found"] for goal in summary["proofs"]["exchange"]["goals"]} == {"equal"}
    text = (tmp_path / "summary.md").read_text()
    assert "| prediction of a scan of 512 x 512 x 275 voxels | holds |" in text
    assert json.loads((tmp_path / "exchange.json").read_text())["failure"] == ""


@pytest.mark.slow
def test_a_proof_that_fails_stops_no_other(tmp_path, capfd):
    (tmp_path / "pack.json").write_text("{}")
    arguments = ["--output", str(tmp_path / "out"), "--small", "--device", "cpu", "--only", "prediction,exchange"]
    assert main([*arguments, "--preprocessed", str(tmp_path)]) == 1
    results = [json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in ("prediction", "exchange")]
    assert all("damaged preprocessed data set" in result["failure"] for result in results)
    assert "**failed**" in (tmp_path / "out" / "summary.md").read_text()


def test_proofs_without_time_are_skipped_and_named(tmp_path, capfd):
    arguments = ["--output", str(tmp_path), "--small", "--device", "cpu", "--minutes", "0"]
    assert main([*arguments, "--only", "prediction"]) == 1
    assert "SKIPPED prediction" in capfd.readouterr().out


def test_a_data_set_that_is_not_there_is_said_before_anything_is_made(tmp_path, capfd):
    status = main(
        ["--output", str(tmp_path / "out"), "--device", "cpu", "--small", "--preprocessed", str(tmp_path / "no")]
    )
    assert status == 2
    assert f"{tmp_path / 'no'} is no folder" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there(tmp_path, capfd):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert main(["--output", str(tmp_path)]) == 2
    assert "no CUDA device" in capfd.readouterr().err


def test_summary_tells_failures_from_missed_goals(tmp_path):
    some = proofs((1, 1), (1, 1), (1, 1), (1, 1))
    results = {
        "p0": Result({"speed": 2.0}, [Goal("fast", "2", False, required=False)]),
        "p1": Result({}, [Goal("equal", "differs", False)]),
        "p2": Result(failure="Traceback\nValueError: broken"),
    }
    text = write_summary(tmp_path, {"device": "none"}, some, results, ["p3"])
    assert "| proof 0 | holds; 1 goal(s) missed |" in text
    assert "| proof 1 | **failed**: equal: differs |" in text
    assert "| proof 2 | **failed**: ValueError: broken |" in text
    assert f"| proof 3 | {SKIPPED} | - |" in text
    assert json.loads((tmp_path / "summary.json").read_text())["ok"] is False


def test_a_difference_of_one_bit_is_seen(tmp_path):
    write_hearts(tmp_path / "hearts", 3, 6, 32)
    dataset = read_preprocessed_dataset(tmp_path / "hearts")
    config = TrainingConfig(steps=2, batch_size=2, patch=(16, 16), base_width=2, depth=1, loss="cross_entropy")
    for name in ("one", "two"):
        train(dataset, tmp_path / name, config, "cpu")
    assert difference(tmp_path / "one", tmp_path / "two") == ""
    state = torch.load(tmp_path / "two" / "state.pt", weights_only=True)
    weight = next(iter(state["parts"]["average"].values()))
    weight.view(torch.int32)[0, 0, 0, 0] ^= 1
    torch.save(state, tmp_path / "two" / "state.pt")
    assert difference(tmp_path / "one", tmp_path / "two").startswith(".average.")


def test_carried_wheels_stand_in_for_missing_packages_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    wheels = tmp_path / "bundle" / carried.WHEELS
    wheels.mkdir(parents=True)
    for name in ("torch", "carried_alone"):
        with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}/__init__.py", "version = 'carried'")
            archive.writestr(f"{name}-1.0.dist-info/METADATA", "")
    assert carried.make_importable(tmp_path / "work", tmp_path / "bundle") == ["carried_alone"]
    import carried_alone

    assert carried_alone.version == "carried"
    assert not (tmp_path / "work" / "site" / "torch").exists()


def test_the_data_set_arrives_as_it_left(tmp_path):
    write_hearts(tmp_path / "hearts", 2, 4, 24)
    (tmp_path / "bundle").mkdir()
    pack(tmp_path / "hearts", tmp_path / "bundle" / carried.PREPROCESSED)
    arrived = read_preprocessed_dataset(carried.carried_dataset(tmp_path / "work", tmp_path / "bundle"))
    assert (arrived.images == read_preprocessed_dataset(tmp_path / "hearts").images).all()
    assert carried.carried_dataset(tmp_path / "work", tmp_path / "nothing") is None
    config = release_configuration(arrived)
    assert (config.train_split, config.validation_split) == ("train", "validation"), "the hearts have no test split"
    assert config.steps == 14000 and config.deep_supervision and config.augmentation.elastic == 0.06
    assert CONFIGURATION.name == "release_training.yaml"


def test_peaks_are_those_of_the_very_device():
    assert peak_of("NVIDIA H200") == peak_of("NVIDIA H100 80GB HBM3") == 989.4e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA A100-SXM4-80GB") == 312e12
    assert peak_of("Tesla T4") == 65e12
    assert peak_of("NVIDIA L40S") == 362e12
    assert peak_of("NVIDIA A1000") is None
