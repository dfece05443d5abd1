"""The prediction benchmark: every contender that is installed runs and gives the labels of the plain float32 loop."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import shipped_checkpoints

from benchmarks.nnunet_speed import WAYS, mean_and_lowest_dice
from benchmarks.nnunet_speed import report as nnunet_report
from benchmarks.prediction_plot import draw
from benchmarks.prediction_speed import MARKS, REFERENCE, Row, agreement, all_contenders, main, measure, publish, report

INSTALLED = [name for name, contender in all_contenders().items() if not contender.missing()]
ROWS = [Row("ours", 2.0, 3.0, 1.0, 1.5, 0.5, 0.99, 0.9), Row(REFERENCE, 5.0, 8.0, 3.0, 4.0, 0.4, 1.0, 1.0)]
LEAST_EQUAL = {  # of all voxels, and of structures: nnU-Net resamples otherwise, and our network never saw mirrored slices
    "nnU-Net": (0.95, 0.5),
    "nnU-Net, torch resampling": (0.95, 0.5),
    "nnU-Net, mirroring": (0.9, 0.0),
}


def test_a_contender_that_is_none_is_named():
    with pytest.raises(InputError, match="'WRONG' is no contender of --only; they are 'ours'"):
        main(["--only", "WRONG"])


@pytest.mark.slow
def test_contenders_agree_on_a_small_scan(tmp_path, capsys):
    rows = main(
        [
            "--small",
            "--threads",
            "1",
            "--output",
            str(tmp_path / "figures.json"),
            "--plot",
            str(tmp_path / "figure.svg"),
        ]
    )
    assert [row.name for row in rows] == INSTALLED
    for row in rows:
        assert row.failure == ""
        least_labels, least_structures = LEAST_EQUAL.get(row.name, (0.999, 0.99))
        assert row.same_labels > least_labels, row
        assert row.same_foreground > least_structures, row
        assert row.cpu_seconds > 0 and row.network_cpu_seconds > 0 and row.peak_gb > 0.1
    assert next(row for row in rows if row.name == REFERENCE).same_foreground == 1
    printed = capsys.readouterr().out
    assert len([line for line in printed.splitlines() if line.startswith("| ")]) == len(rows) + 1
    for name, contender in all_contenders().items():
        for package in contender.missing():
            assert f"Left out: {name}: " in printed and f"{package}" in printed
    assert [row["name"] for row in json.loads((tmp_path / "figures.json").read_text())["rows"]] == INSTALLED
    assert "<svg" in (tmp_path / "figure.svg").read_text()


def test_the_comparison_is_complete():
    """Ours, a plain loop, nnU-Net with and without mirroring, MONAI, ONNX Runtime, OpenVINO in two precisions."""
    names = list(all_contenders())
    assert names[0] == "ours"
    for wanted in (
        REFERENCE,
        "nnU-Net",
        "nnU-Net, mirroring",
        "MONAI",
        "ONNX",
        "OpenVINO float32",
        "OpenVINO bfloat16",
    ):
        assert any(name.startswith(wanted) for name in names), wanted
    assert {"ours", "ours, float32", REFERENCE} <= set(INSTALLED)
    assert ("MONAI SliceInferer" in INSTALLED) == (find_spec("monai") is not None)


def test_agreement_counts_structures_apart():
    reference = np.zeros(100, np.uint8)
    reference[:10] = 1
    labels = reference.copy()
    labels[9:12] = (0, 2, 2)
    assert agreement(labels, reference) == (pytest.approx(0.97), pytest.approx(9 / 12))
    assert agreement(labels * 0, reference * 0) == (1.0, 1.0)


def test_table_divides_by_ours_and_shows_failures():
    lines = report(
        [*ROWS, Row("MONAI", failure="no memory")], ["OpenVINO: openvino not installed"], "title"
    ).splitlines()
    cells = [cell.strip() for cell in lines[5].split("|")[1:-1]]
    assert cells == [REFERENCE, "5.0 (2.5)", "8.0 (2.7)", "3.0 (3.0)", "4.0 (2.7)", "0.40", "100.000%", "100.00%"]
    assert lines[4].startswith("| ours | 2.0 | 3.0 | 1.0 | 1.5 | 0.50 |")
    assert "failed: no memory" in lines[6]
    assert {line.count("|") for line in lines[2:7]} == {9}
    assert lines[-1] == "Left out: OpenVINO: openvino not installed."


def test_the_page_gets_the_table_between_its_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    publish("| new |", page)
    assert page.read_text() == f"before\n{MARKS[0]}\n| new |\n{MARKS[1]}\nafter\n"
    page.write_text("no marks\n")
    with pytest.raises(ValueError, match="no lines"):
        publish("| new |", page)


def test_a_contender_that_fails_says_why(tmp_path):
    row = measure("ours", tmp_path / "absent.nii.gz", shipped_checkpoints()[0], tmp_path / "labels.npy", 1)
    assert "absent.nii.gz" in row.failure


def test_the_figure_is_the_same_for_the_same_figures(tmp_path):
    for name in ("one.svg", "two.svg"):
        draw(ROWS, "machine", tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    draw(ROWS[:1], "machine", tmp_path / "other.svg")
    assert (tmp_path / "other.svg").read_bytes() != (tmp_path / "one.svg").read_bytes()


def test_an_imported_model_is_compared_with_nnunet_of_the_same_mirroring():
    plain, mirrored = np.zeros(100, np.uint8), np.zeros(100, np.uint8)
    plain[:10], mirrored[:20] = 1, 2
    figures = {way.name: {"seconds": 2.0, "cpu_seconds": 4.0, "peak_gb": 1.0} for way in WAYS}
    figures["nnU-Net"] = {"seconds": 6.0, "cpu_seconds": 8.0, "peak_gb": 2.0}
    figures["ours, mirroring"] = {"seconds": 1.0, "cpu_seconds": 1.0, "peak_gb": 1.0}
    labels = {way.name: mirrored if way.mirroring else plain for way in WAYS}
    rows = {
        cells[0]: cells
        for line in nnunet_report(figures, labels).splitlines()
        for cells in [[cell.strip() for cell in line.split("|")[1:-1]]]
    }
    assert rows["ours"] == ["ours", "2.0", "4.0", "", "", "1.00", "100.000%", "1.0000", "1.0000"]
    assert rows["nnU-Net"][3:5] == ["3.0 x", "2.0 x"]
    assert rows["nnU-Net, mirroring"][3:5] == ["2.0 x", "4.0 x"]
    assert rows["ours, mirroring"][6:] == ["100.000%", "1.0000", "1.0000"]


def test_dice_of_the_structures_that_either_has():
    one = np.array([0, 1, 1, 2, 0, 0], np.uint8)
    other = np.array([0, 1, 0, 2, 3, 0], np.uint8)
    mean, lowest = mean_and_lowest_dice(one, other)
    assert mean == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert lowest == 0
    assert mean_and_lowest_dice(one * 0, other * 0) == (1.0, 1.0)
