"""What the wheel and the extension bring: a bill of materials (CycloneDX) completed, and the table of docs/licences.md.

  python tools/bill_of_materials.py build/environment.cdx.json dist/unetsegmenter.cdx.json   (make sbom)
  python tools/bill_of_materials.py --licences            write the table of docs/licences.md anew

cyclonedx-py lists what is installed. It can't know what the wheel has inside: the report's viewer, the packages of its bundle,
and the weights. Nor which packages come with an extra alone.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
import tomllib
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

from linked_environment import required
from release import version

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "licences.md"
MODELS = ROOT / "UNetSegmenter" / "Resources" / "Models"
EXTRAS = ("training", "onnx", "dicom", "scene")
VIEWER = (  # the bundle, and the packages that its makers bundled into it: name, version, licence
    ("@niivue/niivue", "0.69.0", "BSD-2-Clause"),
    ("@lukeed/csprng", "1.1.0", "MIT"),
    ("@lukeed/uuid", "2.0.1", "MIT"),
    ("@ungap/structured-clone", "1.4.0", "ISC"),
    ("@zarrita/storage", "0.1.4", "MIT"),
    ("array-equal", "1.0.2", "MIT"),
    ("fflate", "0.8.3", "MIT"),
    ("gl-matrix", "3.4.4", "MIT"),
    ("nifti-reader-js", "0.8.0", "MIT"),
    ("numcodecs", "0.3.2", "MIT"),
    ("reference-spec-reader", "0.2.0", "MIT"),
    ("unzipit", "1.4.3", "MIT"),
    ("uzip-module", "1.0.3", "MIT"),
    ("zarrita", "0.5.4", "MIT"),
)
NAMES = {  # of licences that packages spell in words
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "3-Clause BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
}
BEGIN, END = "<!-- packages -->\n", "<!-- end of packages -->\n"


def licence_of(package: Distribution) -> str:
    """The licence that a package declares, as SPDX names it where that is clear; its first words where it is a text."""
    data = package.metadata
    if expression := data.get("License-Expression"):
        return str(expression)
    classified = [
        text.rpartition(" :: ")[2] for text in data.get_all("Classifier", ()) if text.startswith("License ::")
    ]
    known = [NAMES.get(text, text) for text in classified if text != "OSI Approved"]
    stated = (data.get("License") or "").strip().partition("\n")[0]
    if known and not (known == ["BSD"] and stated.startswith("BSD-")):
        return " OR ".join(sorted(known))
    return NAMES.get(stated, stated[:60] or "not declared")


class Project(Distribution):
    """The package as pyproject.toml describes it, whatever was installed when."""

    def read_text(self, filename: str) -> str | None:
        if filename != "METADATA":
            return None
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = [f"Name: {project['name']}", *(f"Requires-Dist: {line}" for line in project["dependencies"])]
        for extra in EXTRAS:
            lines += [f'Requires-Dist: {line}; extra == "{extra}"' for line in project["optional-dependencies"][extra]]
        return "\n".join(lines) + "\n"

    def locate_file(self, path: Any) -> Path:
        return ROOT / path


def packages() -> dict[str, tuple[Distribution, str]]:
    """All that the wheel requires: package and what it comes with, "always" or the first extra that wants it."""
    own = Project()
    found = {one: (package, "always") for one, package in required(own).items()}
    for extra in EXTRAS:
        for one, package in required(own, [extra]).items():
            found.setdefault(one, (package, f"[{extra}]"))
    return found


def table() -> str:
    """Rows of docs/licences.md. Versions are in the bill of materials: here they would be old by the next day."""
    rows = sorted(packages().items())
    lines = [f"| {name} | {licence_of(package)[:90]} | {extra} |" for name, (package, extra) in rows]
    return "\n".join(["| Package | Licence | Comes with |", "|---|---|---|", *lines]) + "\n"


def with_table(page: str, rows: str) -> str:
    """The page with its table replaced."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + "\n" + rows + "\n" + END + rest.partition(END)[2]


def completed(bom: dict[str, Any]) -> dict[str, Any]:
    """A bill of materials of the environment with this version, scopes, missing licences, and what the wheel has inside."""
    root = bom["metadata"]["component"]
    number = version()
    root |= {"version": number, "purl": f"pkg:pypi/unetsegmenter@{number}", "type": "application"}
    known = packages()
    for component in bom["components"]:
        package, extra = known[re.sub(r"[-_.]+", "-", component["name"]).lower()]
        component["scope"] = "required" if extra == "always" else "optional"
        component.setdefault("licenses", [{"license": {"name": licence_of(package)}}])
    inside = [_viewer_part(*part) for part in VIEWER] + [_weights(path) for path in sorted(MODELS.glob("*.pt"))]
    bom["components"] += inside
    edges = next(one for one in bom["dependencies"] if one["ref"] == root["bom-ref"])
    edges["dependsOn"] = sorted({*edges.get("dependsOn", ()), inside[0]["bom-ref"], inside[-1]["bom-ref"]})
    bom["dependencies"] += [
        {"ref": inside[0]["bom-ref"], "dependsOn": [one["bom-ref"] for one in inside[1 : len(VIEWER)]]}
    ]
    return bom


def _viewer_part(name: str, number: str, licence: str) -> dict[str, Any]:
    purl = f"pkg:npm/{name.replace('@', '%40')}@{number}"
    part = {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl, "scope": "required"}
    return part | {"licenses": [{"license": {"id": licence}}]}


def _weights(path: Path) -> dict[str, Any]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    part = {"type": "machine-learning-model", "bom-ref": f"UNetSegmenterLib/models/{path.name}", "name": path.name}
    return part | {"scope": "required", "hashes": [{"alg": "SHA-256", "content": digest}]}


def main(arguments: list[str]) -> int:
    if arguments == ["--licences"]:
        PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8"), table()), encoding="utf-8", newline="\n")
        return 0
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    bom = completed(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    Path(arguments[1]).write_text(json.dumps(bom, indent=2) + "\n", encoding="utf-8")
    print(f"{arguments[1]}: {len(bom['components'])} components")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
