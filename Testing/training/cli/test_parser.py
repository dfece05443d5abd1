"""Options: former spellings with a hint, configuration files, and what wins over what."""

from __future__ import annotations

import pytest
import yaml
from unetseg.cli import COMMANDS, RENAMED_COMMANDS, RENAMED_OPTIONS
from unetseg.cli.main import main
from unetseg.cli.parser import UsageError, command_and_parser
from UNetSegmenterLib.engine.errors import InputError

TRAIN = ("preprocessed", "--output", "run")


def parse(*arguments, name="train", defaults=None):
    return command_and_parser(name)[1].parse(list(map(str, arguments)), defaults)


@pytest.fixture
def config(tmp_path):
    """Writes a configuration file and gives its path."""

    def write(text):
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
        return tmp_path / "config.yaml"

    return write


@pytest.mark.parametrize(("former", "current"), RENAMED_COMMANDS.items())
def test_former_commands_work_with_a_hint(former, current, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([former, "--help"])
    shown = capsys.readouterr()
    assert f"{former} is now {current}" in shown.err and f"usage: unetseg {current}" in shown.out


@pytest.mark.parametrize(("former", "current"), RENAMED_OPTIONS.items())
def test_former_options_work_with_a_hint(former, current, capsys):
    parsers = [command_and_parser(name)[1] for name in COMMANDS]
    concerned = [parser for parser in parsers if current in parser.options]
    assert concerned and not any(former in parser.options for parser in parsers)
    for parser in concerned:
        assert parser.with_current_spellings([f"{former}=0.5"]) == [f"{current}=0.5"]
        assert f"{former} is now {current}" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "others"), [("train", TRAIN), ("prepare", ("dataset", "preprocessed"))])
def test_no_hint_at_an_option_that_the_command_does_not_have(name, others, capsys):
    with pytest.raises(UsageError, match="unknown option --pack"):
        parse(*others, "--pack=x", name=name)
    assert capsys.readouterr().err == ""


def test_yes_and_no_come_from_the_command_line_and_from_files(config):
    assert parse(*TRAIN).skip_connections is True
    assert parse(*TRAIN, "--skip-connections", "False").skip_connections is False
    assert parse(*TRAIN, "--config", config("skip_connections: false\n")).skip_connections is False
    with pytest.raises(UsageError, match="maybe is given, true or false is expected"):
        parse(*TRAIN, "--skip-connections", "maybe")


def test_former_options_give_the_values_of_the_present_ones(config, capsys):
    file = config("foreground_share: 0.25\naugmentation:\n  share: 0.5\n")
    options = parse(*TRAIN, "--warmup-share", 0.5, "--config", file)
    present = parse(
        *(*TRAIN, "--warmup-fraction", 0.5, "--foreground-fraction", 0.25, "--augmentation.fraction", 0.5),
        *("--config", config("{}")),
    )
    assert vars(options) == vars(present)


def test_underscores_and_several_numbers_need_no_care():
    options = parse(*TRAIN, "--batch_size", 4, "--base_width=8", "--patch", "64,96")
    assert (options.batch_size, options.base_width, options.patch) == (4, 8, (64, 96))
    assert parse(*TRAIN, "--patch=[64,96]").patch == (64, 96)
    assert parse("set", "out", "--window", "-125,275", name="prepare").window == "-125,275"


def test_the_command_line_wins_over_the_file_and_the_file_over_the_plan(config):
    file = config("steps: 5\nseed: 6\npatch: [32, 64]\n")
    plan = {"steps": 3, "seed": 3, "depth": 3, "patch": (16, 16), "augmentation.noise": 0.5}
    options = parse("--seed", 7, *TRAIN, "--config", file, defaults=lambda _: plan)
    assert (options.steps, options.seed, options.depth, options.patch) == (5, 7, 3, (32, 64))
    assert getattr(options, "augmentation.noise") == 0.5


def test_a_file_may_hold_what_the_command_line_needs(config):
    options = parse("--config", config("pack: here\noutput: there\noverwrite: true\nfold: null\n"))
    assert (options.preprocessed.name, options.output.name, options.overwrite, options.fold) == (
        *("here", "there", True, None),
    )
    assert parse("other", "--config", config("pack: here\noutput: there\n")).preprocessed.name == "other"


def test_printed_values_are_read_again(config, capsys):
    given = (*TRAIN, "--steps", 5, "--augmentation.noise", 0.5, "--patch", "64,96", "--title", "脾 1")
    assert main(["train", *map(str, given), "--print-config"]) == 0
    text = capsys.readouterr().out
    assert yaml.safe_load(text)["augmentation"]["noise"] == 0.5
    before, after = vars(parse(*given)), vars(parse("--config", config(text)))
    assert before | {"config": None} == after | {"config": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stepps: 3", ("stepps", "did you mean steps?")),
        ("augmentation:\n  nois: 3", ("augmentation.nois", "did you mean augmentation.noise?")),
        ("zzzz: 3", ("zzzz",)),
        ("steps: many", ("--steps", "many", "whole number")),
        ("patch: 3", ("--patch", "3", "2 numbers")),
        ("- steps", ("steps: 4000",)),
        ("steps: [", ("YAML",)),
    ],
)
def test_files_that_can_not_be_used_are_refused(config, text, words):
    with pytest.raises(InputError) as error:
        parse(*TRAIN, "--config", config(text))
    assert all(word in str(error.value) for word in words), error.value


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--config",), ("--config",)),
        (("--config", "nowhere.yaml"), ("nowhere.yaml",)),
        (("--learnign-rate", "3"), ("--learnign-rate", "did you mean --learning-rate?")),
        (("--augmentation.nois", "3"), ("did you mean --augmentation.noise?",)),
        (("--step", "3"), ("unknown option --step;", "did you mean --steps?")),
        (("--fold", "-1"), ("--fold", "-1", "at least 0")),
        (("--save-every", "1.5"), ("--save-every", "1.5", "whole number")),
        (("--patch", "64"), ("--patch", "2 numbers")),
    ],
)
def test_options_that_can_not_be_used_are_refused(arguments, words):
    with pytest.raises((UsageError, InputError)) as error:
        parse(*TRAIN, *arguments)
    assert all(word in str(error.value) for word in words), error.value
