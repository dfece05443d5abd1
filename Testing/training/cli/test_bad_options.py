"""Bad options and choices: status 2, one clear sentence on stderr, and nothing left behind."""

import pytest
from unetseg.cli.main import main

from ..command import refused, unetseg_here


def test_usage(place, scan):
    refused(unetseg_here("segmnt"), "did you mean segment?")
    refused(unetseg_here("segment"), "required: --output")
    refused(unetseg_here("segment", "--output", place / "out"), "required: scans")
    refused(unetseg_here("info", scan, "--polt", place / "a.png"), "--polt")
    refused(unetseg_here("segment", scan, scan, "--output", place / "out"), "given 2 times")
    refused(unetseg_here("--verison"), "did you mean --version?")
    refused(unetseg_here("help"), "did you mean --help?")
    nothing = unetseg_here()
    assert nothing.returncode == 2
    assert "usage: unetseg COMMAND" in nothing.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("segment scan.nii.gz --outptu out", "unknown option --outptu; did you mean --output?"),
        ("segment scan.nii.gz --OUTPUT=out", "unknown option --OUTPUT; did you mean --output?"),
        ("segment scan.nii.gz -o out", "did you mean --output or --overwrite?"),
        ("train pre --output run --nois -0.1", "did you mean --augmentation.noise?"),
        ("segment scan.nii.gz --baseline old.pt --output out", "it is an option of unetseg evaluate"),
        ("check labels.nii.gz --labels small.pt --output out", "did you mean --checkpoint?"),
        ("evaluate --checkpoint small.pt data --output out", "unetseg evaluate CHECKPOINT DATASET"),
        ("compare a b c --output out", "c is more than unetseg compare takes; it takes PREDICTION, REFERENCE"),
        ("--output out segment scan.nii.gz", "write the command first"),
    ],
)
def test_an_unknown_option_is_named_with_the_one_that_was_meant(arguments, words):
    refused(unetseg_here(*arguments.split()), words)


def test_what_looks_like_an_option_but_is_a_value_is_one(place, scan):
    refused(unetseg_here("prepare", place, "out", "--window", "-125,275", "--spacing", "-1"), "--spacing: -1 is given")
    refused(unetseg_here("info", "--", "--odd.nii.gz"), "--odd.nii.gz does not exist")


@pytest.mark.parametrize("arguments", [("segment", "scan.nii.gz"), ("submit", "packed", "--scheduler", "slurm")])
def test_an_empty_path_is_not_the_current_folder(arguments):
    """As a shell gives it where a variable is not set."""
    refused(unetseg_here(*arguments, "--output", ""), "--output: nothing is given")
    refused(unetseg_here(arguments[0], "", *arguments[2:], "--output", "out"), "nothing is given")


def test_device_that_is_not_there(place, scan, checkpoint):
    for device, words in (("abacus", "not a device"), ("cuda:42", "CUDA device")):
        refused(
            unetseg_here("segment", scan, "--checkpoint", checkpoint, "--device", device, "--output", place / "out"),
            words,
        )


def test_configuration_with_an_unknown_word(place, tmp_path):
    (tmp_path / "config.yaml").write_text("stepps: 3\n")
    arguments = ("train", tmp_path, "--output", place / "run", "--config", tmp_path / "config.yaml")
    refused(unetseg_here(*arguments), "stepps", "did you mean steps?")
    (tmp_path / "config.yaml").write_text("augmentation:\n  nois: 0.1\n")
    refused(unetseg_here(*arguments), "nois", "did you mean augmentation.noise?")
    refused(unetseg_here(*arguments[:-2], "--base-widht", 8), "did you mean --base-width?")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--steps", "0"), "steps is 0; at least 1"),
        (("--batch-size", "0"), "batch_size is 0"),
        (("--depth", "9"), "1 to 8"),
        (("--patch", "16,16"), "can't be halved 4 times"),
        (("--ema", "2"), "0 to 1"),
        (("--learning-rate", "-1"), "at least 0"),
        (("--foreground-fraction", "3"), "foreground_fraction is 3.0"),
        (("--input-slices", "2"), "1, 3 or 5"),
        (("--augmentation.scale", "0"), "augmentation's scale"),
        (("--augmentation.fraction", "3"), "0 to 1"),
        (("--augmentation.low-resolution", "1.5"), "low_resolution is 1.5; 0 to 1"),
        (("--validate-every", "0"), "--validate-every: 0 is given"),
        (("--steps", "many"), "--steps: many is given, a whole number is expected"),
        (("--train-split", "nobody"), 'no cases in the split "nobody"'),
        (("--validation-split", "nobody"), 'no cases in the split "nobody"'),
        (("--train-split", "all"), "would be trained on and validated"),
        (("--devices", "2", "--batch-size", "1"), "can't be shared by 2 processes"),
        (("--nodes", "2"), "torchrun --nnodes 2"),
    ],
    ids=lambda part: "".join(part[:2]) if isinstance(part, tuple) else "",
)
def test_choices_that_train_nothing(option, words, preprocessed_folder, place, capsys):
    arguments = (
        *("train", preprocessed_folder, "--output", place / "run", "--device", "cpu"),
        *("--depth", 4, "--patch", "64,64", *option),
    )
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as error:
        status = error.code
    assert status == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if "only the last one counts" not in line]
    assert len(lines) == 1
    assert words in lines[0]
