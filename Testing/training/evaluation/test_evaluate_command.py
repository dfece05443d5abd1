"""What the command evaluate makes of its options, of bad cases and of other networks."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import pytest
import torch
from unetseg.data.layouts.detection import read_dataset
from unetseg.evaluation.case_evaluation import evaluator, read_result, write_result
from unetseg.evaluation.paired_comparison import OVER_ALL
from unetseg.exit_status import DONE_IN_PART
from UNetSegmenterLib.engine.labels.distinct_colors import distinct_colors
from UNetSegmenterLib.engine.labels.segmentation_files import read_segmentation
from UNetSegmenterLib.engine.labels.structures import HEART
from UNetSegmenterLib.engine.model.checkpoint import load_checkpoint
from UNetSegmenterLib.engine.model.prediction import Predictor

from ...engine.checkpoints import small_card
from ..command import refused
from ..datasets import STRUCTURES, write_checkpoint, write_dataset
from .evaluations import CARD, CASES, cpu_settings

# --- bad cases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_case_is_named_and_loses_no_other(workers, checkpoint, tmp_path, unetseg):
    data = write_dataset(tmp_path / "blobs", 3)
    (data / "imagesTr" / "case1_0000.nii.gz").write_text("this is no image")
    out = tmp_path / "out"
    done = unetseg("evaluate", checkpoint, data, "--output", out, "--workers", workers)
    refused(
        done, "1 of 3 cases could not be evaluated", "case1_0000.nii.gz", "not an image", str(out), status=DONE_IN_PART
    )
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert {row["case"] for row in rows} == {"case0", "case2"}
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["not_evaluated"]) == ["case1"]
    assert "case1 could not be evaluated" in (out / "report.html").read_text()

    write_dataset(tmp_path / "blobs", 3)
    done = unetseg("evaluate", checkpoint, data, "--output", out)
    assert done.returncode == 0, done.stderr
    assert "2 of 3 cases were evaluated before" in done.stdout
    assert "not_evaluated" not in json.loads((out / "summary.json").read_text())


def test_no_good_case_leaves_nothing(checkpoint, tmp_path, unetseg):
    data = write_dataset(tmp_path / "blobs", 1)
    (data / "imagesTr" / "case0_0000.nii.gz").write_text("this is no image")
    refused(unetseg("evaluate", checkpoint, data, "--output", tmp_path / "out"), "1 of 1 cases", "not an image")
    assert not (tmp_path / "out").exists()


# --- two checkpoints ---------------------------------------------------------------------------------------------------


def test_against_another_checkpoint_case_by_case(checkpoint, dataset, tmp_path, unetseg):
    other = write_checkpoint(tmp_path / "other.pt", seed=1, **CARD)
    done = unetseg("evaluate", checkpoint, dataset, "--baseline", other, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "small.pt: 1 of 5 cases were trained on" in done.stderr
    assert "other.pt: 1 of 5 cases were trained on" in done.stderr
    assert "Dice: Small abdomen (small.pt) minus Small abdomen (other.pt)" in done.stdout
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["against"]["checkpoint SHA-256"] == load_checkpoint(other).sha256
    rows = {row["structure"]: row for row in summary["against"]["dice"]}
    assert list(rows) == [OVER_ALL, "liver", "spleen"]
    tables = [list(csv.DictReader((tmp_path / part / "metrics.csv").open())) for part in ("out", "out/against")]
    for name in ("liver", "spleen"):
        ours, theirs = (
            [float(row["dice"]) for row in table if row["structure"] == name and row["trained_on"] == "no"]
            for table in tables
        )
        differences = [a - b for a, b in zip(ours, theirs, strict=True)]
        assert rows[name]["difference"] == pytest.approx(sum(differences) / (CASES - 1), abs=1e-5)
        assert rows[name]["better"] == sum(value > 0 for value in differences)
        assert rows[name]["p_holm"] >= rows[name]["p"] >= 2 / 2 ** (CASES - 1)
    assert rows[OVER_ALL]["p_holm"] is None and rows[OVER_ALL]["n"] == CASES - 1
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Compared with Small abdomen (other.pt)" in report
    assert 'href="against/report.html"' in report

    shards = [tmp_path / "1", tmp_path / "2"]
    for number, folder in enumerate(shards, start=1):
        arguments = ("--baseline", other, "--shard", f"{number}/2", "--output", folder)
        assert unetseg("evaluate", checkpoint, dataset, *arguments).returncode == 0
    done = unetseg("evaluate", "--merge", *shards, "--output", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    merged = json.loads((tmp_path / "all" / "summary.json").read_text())["against"]["dice"]
    assert [row["structure"] for row in merged] == list(rows)
    assert (tmp_path / "all" / "against" / "report.html").is_file()


def test_case_file_gives_back_all_it_was_given(checkpoint, dataset, tmp_path):
    predictor = Predictor(load_checkpoint(checkpoint), "cpu", dtype=torch.float32)
    data = read_dataset(dataset)
    work = replace(cpu_settings(checkpoint, predictor.checkpoint.sha256, tmp_path, data), pictures=True)
    assert evaluator(work, predictor)(data.cases[0]) is None
    result = read_result(work.result_path("case0"))
    assert result.material.viewer is not None
    assert result.material.viewer.scan[:2] == b"\x1f\x8b"
    assert result.material.pictures[0][1][:4] == b"\x89PNG"
    write_result(result, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == work.result_path("case0").read_bytes()
    assert read_result(tmp_path / "again.json") == result

    first, *others = result.comparison.rows
    missed = replace(first, measures=replace(first.measures, hd_mm=math.inf, precision=math.nan))
    result = replace(result, comparison=replace(result.comparison, rows=(missed, *others)))
    write_result(result, tmp_path / "missed.json")
    json.loads((tmp_path / "missed.json").read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert repr(read_result(tmp_path / "missed.json").comparison.rows[0].measures) == repr(missed.measures)


def test_a_coronal_network_is_evaluated_in_coronal_slices(dataset, tmp_path, unetseg):
    """Curves, pictures, viewer, findings and provenance, also after they were read back from the case's file."""
    preprocessing = replace(small_card(structures=STRUCTURES).preprocessing, axis="coronal", intensities="HU")
    path = write_checkpoint(tmp_path / "coronal.pt", **CARD | {"training": {}, "preprocessing": preprocessing})
    folder = tmp_path / "evaluated"
    result = unetseg(
        "evaluate", path, dataset, "--cases", "case1", "--output", folder, "--device", "cpu", "--predictions"
    )
    assert result.returncode == 0, result.stderr
    read = read_result(folder / "cases" / "case1.json")
    assert read.comparison.slicing_axis == "coronal"
    assert read.material.limits == "limits: rules of thumb; add statistics with unetseg release MODEL DATASET"
    assert all(row.curve.slicing_axis == "coronal" for row in read.comparison.rows if row.curve)
    assert read.material.pictures[0][0].startswith("Worst slice: coronal slice ")
    assert json.loads((folder / "summary.json").read_text())["provenance"]["slicing axis"] == "coronal"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "How well each coronal slice agrees" in page and "Limits: rules of thumb; add statistics" in page
    assert read_segmentation(folder / "predictions" / "case1.seg.nrrd").slicing_axis == "coronal"


def test_mirroring_and_precision_reach_every_process_and_are_no_other_run_s_result(dataset, tmp_path, unetseg):
    """Two processes mirror as one does, and a finished result without mirroring is not taken for one with it."""
    preprocessing = replace(small_card(structures=STRUCTURES).preprocessing, mirror_axes=(0, 1))
    write_checkpoint(tmp_path / "mirrored.pt", **CARD | {"preprocessing": preprocessing})
    command = ("evaluate", tmp_path / "mirrored.pt", dataset, "--device", "cpu", "--precision", "float32")
    csv = {}
    for name, options in {"plain": (), "one": ("--mirror",), "two": ("--mirror", "--workers", 2)}.items():
        assert unetseg(*command, "--output", tmp_path / name, *options).returncode == 0
        csv[name] = (tmp_path / name / "metrics.csv").read_bytes()
    assert csv["one"] == csv["two"] != csv["plain"]
    assert unetseg(*command, "--output", tmp_path / "plain", "--mirror").returncode == 0
    assert (tmp_path / "plain" / "metrics.csv").read_bytes() == csv["one"]
    case = json.loads(next((tmp_path / "two" / "cases").glob("*.json")).read_text())
    assert (case["inputs"]["precision"], case["inputs"]["mirroring"]) == ("float32", "yes")
    assert "float32" in case["device"]


def test_postprocessing_is_left_out_on_request_and_results_of_both_are_not_mixed(dataset, tmp_path, unetseg):
    steps = tuple({"remove_components_smaller_than_ml": 1e6, "of": [one.index]} for one in STRUCTURES)
    path = write_checkpoint(tmp_path / "steps.pt", **CARD | {"postprocessing": steps})
    command = ("evaluate", path, dataset, "--device", "cpu")
    for name, options in {"with": (), "plain": ("--no-postprocessing", "--workers", 2)}.items():
        assert unetseg(*command, "--output", tmp_path / name, *options).returncode == 0
    csv = {name: (tmp_path / name / "metrics.csv").read_bytes() for name in ("with", "plain")}
    assert csv["with"] != csv["plain"]
    assert "left out" in json.loads((tmp_path / "plain" / "summary.json").read_text())["provenance"]["postprocessing"]
    case = json.loads(next((tmp_path / "with" / "cases").glob("*.json")).read_text())
    assert any("components removed" in one["sentence"] for one in case["findings"])
    assert "by postprocessing" in (tmp_path / "with" / "report.html").read_text(encoding="utf-8") or any(
        "by postprocessing" in page.read_text(encoding="utf-8") for page in (tmp_path / "with" / "cases").glob("*.html")
    )
    assert unetseg(*command, "--output", tmp_path / "plain").returncode == 0
    assert (tmp_path / "plain" / "metrics.csv").read_bytes() == csv["with"]
    shards = [tmp_path / "shards" / str(number) for number in (1, 2)]
    for folder, more in zip(shards, ((), ("--no-postprocessing",)), strict=True):
        assert unetseg(*command, "--output", folder, "--shard", f"{folder.name}/2", *more).returncode == 0
    refused(unetseg("evaluate", "--merge", *shards, "--output", tmp_path / "merged"), "--no-postprocessing")


def test_distinct_colours_reach_every_page_and_are_no_other_run_s_result(dataset, tmp_path, unetseg):
    model, out = write_checkpoint(tmp_path / "small.pt", structures=STRUCTURES), tmp_path / "out"
    command = ("evaluate", model, dataset, "--cases", "case0,case1", "--device", "cpu", "--output", out)
    assert unetseg(*command).returncode == 0
    assert unetseg(*command, "--distinct-colors").returncode == 0, "what was made without is made anew"
    colors = ["rgb({}, {}, {})".format(*color) for color in distinct_colors(one.name for one in STRUCTURES)]
    for page in (out / "cases" / "case0.html", out / "cases" / "case1.html"):
        text = page.read_text(encoding="utf-8")
        assert all(color in text for color in colors), page.name
    assert "distinct" in read_result(out / "cases" / "case0.json").inputs["colours"]


def test_a_model_of_other_structures_is_refused(dataset, tmp_path, unetseg):
    path = write_checkpoint(tmp_path / "heart.pt", structures=HEART[:2])
    refused(unetseg("evaluate", path, dataset, "--output", tmp_path / "out"), "nothing to compare", "liver, spleen")
    assert not (tmp_path / "out").exists()
