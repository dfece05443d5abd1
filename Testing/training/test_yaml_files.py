"""A configuration, a plan or a card of another user is data: it runs nothing and takes no more memory than it is long."""

from __future__ import annotations

import pytest
from unetseg import yaml_files
from unetseg.training.configuration import read_config
from unetseg.yaml_files import read_yaml
from UNetSegmenterLib.engine.errors import InputError


def laughs(levels: int) -> str:
    """Nine of nine of nine ...: a kilobyte that stands for 9^levels words."""
    lines = ["steps:", "  - &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"  - &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (laughs(10), "alias"),
        ("a: &a [*a]", "alias"),
        ("a: &a {b: 1}\nc:\n  <<: *a", "alias"),
        ("[" * 5000, "can't be read as YAML"),
        ("a: !!python/object/apply:os.system ['touch ran']", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("day: 2026-13-01", "can't be read as YAML"),
        ("a: [1, 2", "can't be read as YAML"),
        ("a: 1\n---\nb: 2", "can't be read as YAML"),
    ],
)
def test_what_is_more_than_plain_data_is_refused(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "training.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_yaml(path)
    assert [one.name for one in tmp_path.iterdir()] == ["training.yaml"]


def test_a_file_that_is_too_large_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(yaml_files, "MOST_YAML_BYTES", 10)
    (tmp_path / "training.yaml").write_text("steps: 1000")
    with pytest.raises(InputError, match="no configuration"):
        read_yaml(tmp_path / "training.yaml")
    with pytest.raises(InputError, match="is not there"):
        read_yaml(tmp_path / "other.yaml")


def test_plain_data_come_as_they_are(tmp_path):
    (tmp_path / "card.yaml").write_text(
        'title: "ä"\nsteps: 10\npatch: [32, 64]\nnested: {on: true, rate: 1e-3, none: null}\n'
    )
    plain = read_yaml(tmp_path / "card.yaml")
    assert plain["title"] == "ä" and plain["patch"] == [32, 64] and plain["nested"]["none"] is None


@pytest.mark.parametrize("text", ["3e-3", "3E-03", "3.e-3", "+3e-3", ".003", "0.003", "3.0e-3"])
def test_a_number_may_be_written_with_an_exponent(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(f"learning_rate: {text}\nloss: dice_ce\n", encoding="utf-8")
    assert read_config(read_yaml(path), "config.yaml").learning_rate == 3e-3


@pytest.mark.parametrize("text", ["1e", "e3", "3e-3x", "2e-3-4"])
def test_what_is_no_number_stays_text(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(f"name: {text}\n", encoding="utf-8")
    assert read_yaml(path) == {"name": text}
