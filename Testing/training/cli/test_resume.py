"""`unetseg train --resume RUN`: a run goes on, or is extended, with its own data set and options."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from unetseg.training.run_lock import Stopped
from unetseg.training.training_state import TrainingState, read_state
from UNetSegmenterLib.engine.model.checkpoint import read_card

from ..command import refused, unetseg_here

SMALL = (
    "--batch-size 4 --patch 32,32 --base-width 4 --depth 2 --loss cross_entropy --device cpu --augmentation.noise 0.05"
)


def train(*arguments):
    return unetseg_here("train", *arguments)


@pytest.fixture
def stopped_at(monkeypatch):
    """Stop a run as soon as it has saved the state after these steps."""

    def stop(step: int, *arguments) -> None:
        original = TrainingState.save

        def save_and_stop(self, done, minutes):
            original(self, done, minutes)
            if done == step:
                raise Stopped(done, "SIGTERM")

        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(TrainingState, "save", save_and_stop)
            train(*arguments)

    return stop


@pytest.fixture
def other_folder(tmp_path, monkeypatch) -> Path:
    """The command is given from another folder than the one where the run began."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    return tmp_path / "other"


def weights(run: Path) -> dict[str, torch.Tensor]:
    return read_state(run / "state.pt")["parts"]["average"]


def test_a_run_goes_on_to_the_bit_with_no_other_option(preprocessed_folder, tmp_path, stopped_at, monkeypatch):
    monkeypatch.chdir(preprocessed_folder.parent)
    options = [preprocessed_folder.name, "--steps", 12, *SMALL.split()]
    assert train(*options, "--output", tmp_path / "straight").returncode == 0
    stopped_at(4, *options, "--output", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    result = train("--resume", "run")
    assert result.returncode == 0, result.stderr
    assert "run goes on after step 4 of 12, in " in result.stdout
    one, other = weights(tmp_path / "straight"), weights(tmp_path / "run")
    assert all(torch.equal(one[name], other[name]) for name in one)
    again = train("--resume", "run")
    assert (again.returncode, again.stdout.strip()) == (
        0,
        "run is finished: all 12 steps are done; more --steps extend it",
    )
    again = train(preprocessed_folder, *options[1:], "--output", "run")
    assert again.returncode == 0 and "run has done all 12 steps: nothing is trained" in again.stdout, again.stderr


def test_more_steps_extend_a_finished_run_and_the_schedule_is_said(preprocessed_folder, tmp_path, other_folder):
    run = tmp_path / "run"
    assert train(preprocessed_folder, "--steps", 10, *SMALL.split(), "--output", run).returncode == 0
    same = (preprocessed_folder, *SMALL.split(), "--output", run)
    refused(train(*same, "--steps", 20), "steps was 10 and is 20", f"unetseg train --resume {run} --steps 20")
    refused(train(*same, "--steps", 20, "--seed", 3), "and 1 more", "configuration and data set it began with")
    refused(train(*same, "--steps", 5), "steps was 10 and is 5", "configuration and data set it began with")
    result = train("--resume", run, "--steps", 20)
    assert result.returncode == 0, result.stderr
    assert "goes on after step 10 of 20" in result.stdout
    assert (
        "the run had 10 steps and now has 20: the learning rate goes on as the schedule of 20 steps has it"
        in " ".join(result.stderr.split())
    )
    card = read_card(run / "checkpoint.pt")
    assert card.training["extended"] == [{"at": 10, "steps": 10}]
    assert card.training["recipe"]["steps"] == 20
    refused(train("--resume", run, "--steps", 15), "has done 20 steps already, and 15 are asked for")
    refused(train("--resume", run, "--steps", 30, "--learning-rate", 0.1), "learning_rate was 0.002 and is 0.1")
    assert "steps: 20" in (run / "run.yaml").read_text(), "a command that was refused changed the options of the run"
    assert train("--resume", run, "--steps", 22).returncode == 0
    assert len(read_card(run / "checkpoint.pt").training["extended"]) == 2


def test_a_data_set_that_moved_is_named(preprocessed_folder, tmp_path, stopped_at):
    data, run = Path(shutil.copytree(preprocessed_folder, tmp_path / "data")), tmp_path / "run"
    stopped_at(1, data, "--steps", 12, *SMALL.split(), "--output", run)
    data.rename(tmp_path / "moved")
    refused(
        train("--resume", run), f"begun with the data set {data}, which is not there", f"train FOLDER --resume {run}"
    )
    result = train(tmp_path / "moved", "--resume", run)
    assert result.returncode == 0, result.stderr
    assert str(tmp_path / "moved") in (run / "run.yaml").read_text()


def test_a_run_of_an_earlier_version_needs_its_data_set_only(preprocessed_folder, tmp_path, stopped_at):
    run = tmp_path / "run"
    stopped_at(2, preprocessed_folder, "--steps", 12, *SMALL.split(), "--seed", 7, "--output", run)
    (run / "run.yaml").unlink()
    refused(train("--resume", run), "did not note the data set; name its folder", f"train FOLDER --resume {run}")
    result = train(preprocessed_folder, "--resume", run, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    recipe = read_card(run / "checkpoint.pt").training["recipe"]
    assert (recipe["seed"], recipe["patch"], recipe["augmentation"]["noise"]) == (7, [32, 32], 0.05)


def test_options_that_contradict_the_run_are_refused_also_when_it_is_finished(preprocessed_folder, tmp_path):
    run = tmp_path / "run"
    assert train(preprocessed_folder, "--steps", 3, *SMALL.split(), "--output", run).returncode == 0
    for option, value, words in (
        ("--base-width", 8, "base_width was 4 and is 8; leave --base-width out"),
        ("--foreground-fraction", 0.1, "leave --foreground-fraction out"),
        ("--start-from", run / "checkpoint.pt", "start_from was none"),
        ("--plan", preprocessed_folder / "plan.yaml", "would change nothing"),
    ):
        refused(train("--resume", run, option, value), f"--resume {run} goes on with the options", words)
    refused(train(tmp_path, "--resume", run), f"{tmp_path} is no preprocessed data set", f"train --resume {run}")
    assert train("--resume", run, "--device", "cpu", "--base-width", 4).returncode == 0


def test_what_is_no_run_and_what_contradicts_it_is_refused(preprocessed_folder, tmp_path, stopped_at):
    refused(train("--resume", tmp_path / "none"), "holds no run to go on with (neither run.yaml nor state.pt)")
    refused(train("--resume", tmp_path / "a", "--output", tmp_path / "b"), "goes on in that folder", "leave it out")
    refused(train(), "the following arguments are required: preprocessed, --output")
    refused(train(preprocessed_folder), "the following arguments are required: --output")


def test_a_state_is_saved_ten_times_at_least(preprocessed_folder, tmp_path, monkeypatch):
    saved = []
    original = TrainingState.save
    monkeypatch.setattr(
        TrainingState, "save", lambda self, step, minutes: (saved.append(step), original(self, step, minutes))
    )
    options = [preprocessed_folder, *SMALL.split(), "--save-every", 100]
    assert train(*options, "--steps", 30, "--output", tmp_path / "run").returncode == 0
    assert saved == list(range(3, 31, 3))
