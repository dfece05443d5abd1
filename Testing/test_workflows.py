"""What GitHub runs: targets and files that exist, rights no wider than needed, and the systems and versions that are promised.

`make lint-workflows` checks their syntax (schema and actionlint); what a schema can't know is here.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.yml"))}
ON = True  # how YAML 1.1 reads the word "on"


def jobs(name: str) -> dict:
    return WORKFLOWS[name]["jobs"]


def commands(job: dict) -> str:
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_lint_tests_docs_stories_and_release_are_there():
    assert set(WORKFLOWS) == {"docs", "release", "slicer", "tests"}
    assert "make lint" in commands(jobs("tests")["lint"]) and "make docs" in commands(jobs("docs")["build"])
    assert "make links" in commands(jobs("docs")["links"])
    assert ".ci/run" in commands(jobs("tests")["linux"])
    assert "xvfb-run" in commands(jobs("slicer")["stories"]) and "make sbom" in commands(jobs("release")["build"])


@pytest.mark.parametrize("name", WORKFLOWS)
def test_targets_and_files_that_are_named_exist(name):
    text = (FOLDER / f"{name}.yml").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):(?! *=)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    runs = "\n".join(commands(job) for job in jobs(name).values())
    assert set(re.findall(r"\bmake ([a-z][\w-]*)", runs)) <= targets
    for file in re.findall(r"(?:tools|UNetSegmenter)/[\w/.-]+\.\w+", runs):
        assert (ROOT / file).is_file(), file
    assert "pull_request_target" not in text and "secrets." not in text


@pytest.mark.parametrize("name", WORKFLOWS)
def test_rights_are_no_wider_than_needed(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    wide = {job: one["permissions"] for job, one in jobs(name).items() if "permissions" in one}
    assert wide == {
        "docs": {"show": {"pages": "write", "id-token": "write"}},
        "release": {"publish": {"id-token": "write"}, "release": {"contents": "write"}},
    }.get(name, {})
    for job in jobs(name).values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            if "uses" not in step:
                continue
            owner, _, version = step["uses"].partition("@")
            assert re.fullmatch(r"v\d+|release/v1", version) and owner.split("/")[0] in ("actions", "pypa")
            if owner == "actions/checkout":
                assert step["with"]["persist-credentials"] is False


def test_what_a_pull_request_says_reaches_no_shell():
    """Expressions stand in `env` and `with`; in a script they would be text of the script."""
    for name in WORKFLOWS:
        for job in jobs(name).values():
            assert "${{" not in commands(job)


def test_the_promised_systems_and_versions_are_tested():
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["classifiers"]
    promised = {text.rpartition(" :: ")[2] for text in classifiers if re.search(r":: 3\.\d+$", text)}
    for name, job in (("tests", "linux"), ("release", "try")):
        assert set(jobs(name)[job]["strategy"]["matrix"]["python"]) == promised
    systems = {system.partition("-")[0] for system in jobs("tests")["macos-and-windows"]["strategy"]["matrix"]["os"]}
    assert systems == {"macos", "windows"}


def test_windows_and_macos_are_set_up_as_make_does():
    steps = commands(jobs("tests")["macos-and-windows"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for part in (
        '--no-build-isolation --editable ".[test]"',
        "tools/fetch_viewer.py",
        "--dist loadfile --no-loadscope-reorder",
    ):
        assert part in steps and part in makefile


def test_a_release_is_published_by_tag_and_by_trusted_publishing():
    assert WORKFLOWS["release"][ON] == {"push": {"tags": ["v[0-9]+.[0-9]+.[0-9]+"]}}
    needs = {name: job.get("needs") for name, job in jobs("release").items()}
    assert needs == {"build": None, "try": "build", "publish": "try", "release": "publish"}
    publish = jobs("release")["publish"]
    assert publish["environment"]["name"] == "pypi" and "with" not in publish["steps"][-1]
    assert "got/sbom/*.json" in commands(jobs("release")["release"])


def test_slicer_is_checked_before_it_is_unpacked():
    text = commands(jobs("slicer")["stories"])
    assert text.index("sha512sum --check") < text.index("tar --extract") and "--proto '=https'" in text
