"""What comes along is listed whole: packages by name and licence, the viewer's bundle, the weights."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
NOTICES = ROOT / "UNetSegmenter" / "UNetSegmenterLib" / "engine" / "report" / "niivue-LICENSE.txt"


@pytest.fixture(scope="module")
def bill():
    from .tools_as_modules import tool

    sys.modules.setdefault("linked_environment", tool("linked_environment"))
    sys.modules.setdefault("release", tool("release"))
    return tool("bill_of_materials")


def test_every_package_that_the_wheel_requires_is_on_the_page(bill):
    listed = {
        cells[0]: cells[2]
        for row in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)
        if len(cells := row.split(" | ")) == 3
    }
    assert {name: extra for name, (_, extra) in bill.packages().items()}.items() <= listed.items(), (
        "run: python tools/bill_of_materials.py --licences"
    )
    assert "not declared" not in PAGE


def test_the_table_is_replaced_and_nothing_else(bill):
    page = f"before\n{bill.BEGIN}old\n{bill.END}after\n"
    assert bill.with_table(page, "new\n") == f"before\n{bill.BEGIN}\nnew\n\n{bill.END}after\n"


def test_licences_are_read_as_packages_declare_them(bill):
    found = {name: bill.licence_of(package) for name, (package, _) in bill.packages().items()}
    assert found["markupsafe"] == "BSD-3-Clause" and found["monai"] == "Apache-2.0" and found["rich"] == "MIT"
    assert not [name for name, licence in found.items() if re.search(r"(?<!L)GPL", licence)]


def test_the_notices_of_the_viewer_name_all_that_is_in_its_bundle(bill):
    text = NOTICES.read_text(encoding="utf-8")
    for name, _, licence in bill.VIEWER[1:]:
        assert re.search(rf"^.*{re.escape(name)}\b.*: Copyright", text, re.MULTILINE), name
        assert f"{licence} License" in text
    from .tools_as_modules import tool

    name, number, _ = bill.VIEWER[0]
    assert f"{name}@{number}" == tool("fetch_viewer").PACKAGE


def test_the_bill_is_completed_with_what_the_wheel_has_inside(bill):
    made = {
        "metadata": {"component": {"bom-ref": "root-component", "name": "unetsegmenter"}},
        "components": [{"name": "MarkupSafe"}, {"name": "scipy", "licenses": [{"license": {"id": "BSD-3-Clause"}}]}],
        "dependencies": [{"ref": "root-component"}],
    }
    bom = bill.completed(made)
    parts = {one["name"]: one for one in bom["components"]}
    assert parts["MarkupSafe"]["scope"] == "required" and parts["scipy"]["scope"] == "optional"
    assert parts["MarkupSafe"]["licenses"] and parts["@niivue/niivue"]["purl"] == "pkg:npm/%40niivue/niivue@0.69.0"
    weights = ROOT / "UNetSegmenter" / "Resources" / "Models" / "abdomen8.pt"
    assert parts["abdomen8.pt"]["hashes"][0]["content"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    references = [one["bom-ref"] for one in bom["components"] if "bom-ref" in one]
    assert len(references) == len(set(references)) and bom["metadata"]["component"]["version"] == bill.version()
