"""One version, one address, and what the Extensions Index checks of a repository and its entry."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import tomllib
from pathlib import Path

import pytest
import UNetSegmenterLib

from .tools_as_modules import tool

ROOT = Path(__file__).resolve().parents[1]
release, repository_address = tool("release"), tool("repository_address")
ENTRY = json.loads((ROOT / "UNetSegmenter.json").read_text(encoding="utf-8"))
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
MOST_BYTES = 100_000_000  # of a clone, history included


def cmake(variable: str) -> str:
    """A value of CMakeLists.txt, read as the index reads it: one quoted string."""
    found = re.search(rf'set\s*\({variable}\s*"([^"]+)"[ ]*\)', CMAKE)
    assert found, f"{variable} is no quoted string"
    return found[1]


def citation(key: str) -> str:
    return re.search(rf"^{key}: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1]


def test_one_version_everywhere():
    newest = release.RELEASE_HEADING.search((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert newest is not None, "make a release with tools/release.py"
    assert release.version() == UNetSegmenterLib.__version__ == citation("version") == newest[1]
    assert citation("date-released") == newest[2]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "UNetSegmenterLib.__version__"}
    assert "VERSION" not in re.search(r"project\((.*?)\)", CMAKE)[1], "Slicer counts extensions by commits"


def test_cards_reports_and_scenes_take_that_version():
    """No other file of the product writes a version of its own."""
    number = re.escape(release.version())
    sources = [path for folder in ("UNetSegmenter", "training") for path in (ROOT / folder).rglob("*.py")]
    found = [path.name for path in sources if re.search(rf"[\"' ]{number}[\"' ]", path.read_text(encoding="utf-8"))]
    assert found == ["__init__.py"]


def changelog_tree(folder: Path) -> Path:
    """A copy of the files that a release changes, with something to release."""
    for name in ("CHANGELOG.md", "CITATION.cff", release.VERSION_FILE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    text = (folder / "CHANGELOG.md").read_text(encoding="utf-8")
    entry = f"{release.UNRELEASED}\n### Added\n- Something.\n"
    (folder / "CHANGELOG.md").write_text(text.replace(release.UNRELEASED, entry), encoding="utf-8")
    return folder


def test_a_release_is_one_command(tmp_path):
    root = changelog_tree(tmp_path)
    release.release("9.8.7", "2031-02-03", root)
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]\n\n## [9.8.7] - 2031-02-03\n\n### Added\n- Something.\n" in text
    assert release.version(root) == "9.8.7" and release.notes(root).startswith("### Added\n- Something.\n")
    written = (root / "CITATION.cff").read_text(encoding="utf-8")
    assert "\nversion: 9.8.7\n" in written and "\ndate-released: 2031-02-03\n" in written
    with pytest.raises(ValueError, match="nothing under"):
        release.release("9.8.8", "2031-02-04", root)


@pytest.mark.parametrize("version, words", [("1.2", "is no version"), ("v1.2.3", "is no version")])
def test_a_version_that_is_none_is_refused(tmp_path, version, words):
    with pytest.raises(ValueError, match=words):
        release.release(version, "2031-02-03", changelog_tree(tmp_path))


def test_one_address_everywhere():
    assert repository_address.others() == []
    address = repository_address.address()
    module = (ROOT / "UNetSegmenter" / "UNetSegmenter.py").read_text(encoding="utf-8")
    assert f'HOMEPAGE = "{address}"' in module
    assert cmake("EXTENSION_HOMEPAGE") == ENTRY["scm_url"] == citation("repository-code") == address


def test_the_address_is_changed_by_one_command(tmp_path):
    repository = tmp_path / "clone"
    repository.mkdir()
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    for name in ("pyproject.toml", "CMakeLists.txt", "UNetSegmenter.json", "CITATION.cff", "README.md"):
        shutil.copy(ROOT / name, repository / name)
    (repository / "binary").write_bytes(b"\0" + repository_address.address().encode())
    owner, name = repository_address.spellings(repository_address.address())[0].split("/")
    (repository / "site.yml").write_text(
        f"site: https://{owner.lower()}.github.io/{name}/x\nfork: Other{owner}/{name}\n"
    )
    changed = repository_address.change("https://github.com/Someone/SlicerElse", repository)
    assert {"pyproject.toml", "CMakeLists.txt", "UNetSegmenter.json", "CITATION.cff", "site.yml"} <= set(changed)
    assert repository_address.others(repository) == []
    assert repository_address.address(repository) == "https://github.com/Someone/SlicerElse"
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "githubusercontent.com/Someone/SlicerElse/main/" in text and f"{owner}/{name}" not in text
    site = (repository / "site.yml").read_text()
    assert site == f"site: https://someone.github.io/SlicerElse/x\nfork: Other{owner}/{name}\n"
    (repository / "old.md").write_text(f"https://github.com/{owner}Old/SlicerElse\n")
    assert repository_address.others(repository) == [f"old.md:1: github.com/{owner}Old/SlicerElse"]
    with pytest.raises(ValueError, match="no address"):
        repository_address.change("git@github.com:Someone/SlicerElse", repository)


def test_the_entry_is_what_the_index_takes():
    """The rules of Slicer's schema of catalog entries, 1.0.1, and of the index's own check of names and categories."""
    assert set(ENTRY) == {
        "$schema",
        "build_dependencies",
        "build_subdirectory",
        "category",
        "scm_revision",
        "scm_url",
        "tier",
    }
    assert ENTRY["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert ENTRY["category"] == "Segmentation" and ENTRY["tier"] == 3 and ENTRY["scm_revision"] == "main"
    assert b"\r" not in (ROOT / "UNetSegmenter.json").read_bytes()
    name = re.search(r"project\(\s*([^\s)]+)", CMAKE)[1]
    assert name == "UNetSegmenter" and not name.startswith("Slicer")
    assert ENTRY["scm_url"].startswith("https://") and ENTRY["scm_url"].rpartition("/")[2].startswith("Slicer")
    assert cmake("EXTENSION_DEPENDS").split() == ENTRY["build_dependencies"]
    assert f"set(EXTENSION_TIER {ENTRY['tier']})" in CMAKE


def test_pictures_that_the_index_shows_are_in_the_repository():
    raw = f"https://raw.githubusercontent.com/{repository_address.spellings(ENTRY['scm_url'])[0]}/main/"
    screenshots = cmake("EXTENSION_SCREENSHOTURLS").split()
    assert len(screenshots) >= 2
    for url in (cmake("EXTENSION_ICONURL"), *screenshots):
        assert url.startswith(raw) and (ROOT / url.removeprefix(raw)).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    icon = (ROOT / cmake("EXTENSION_ICONURL").removeprefix(raw)).read_bytes()
    assert struct.unpack(">II", icon[16:24]) == (128, 128)


def test_description_and_licence_say_what_the_index_asks():
    description = cmake("EXTENSION_DESCRIPTION")
    assert 40 < len(description) < 250 and description.endswith(".") and description.count(". ") <= 1
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").lstrip().startswith("Apache License")
    assert "Apache-2.0" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_a_clone_is_small_enough():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.decode()
    if not listed:
        pytest.skip("this is no git repository")
    tree = sum((ROOT / name).stat().st_size for name in listed.split("\0") if name and (ROOT / name).is_file())
    # What a server sends; the files in .git hold objects twice, and what no branch needs any more.
    packed = subprocess.run(
        ["git", "pack-objects", "--revs", "--stdout", "-q", "--delta-base-offset"],
        cwd=ROOT,
        input=b"HEAD\n",
        capture_output=True,
        check=True,
    ).stdout
    assert tree + len(packed) < MOST_BYTES


def installed_by_apt(text: str) -> list[str]:
    """What follows `apt-get` in the one line that installs, continued or not."""
    lines = re.findall(r"apt-get (install .*?[^\\])$", text, re.MULTILINE | re.DOTALL)
    assert len(lines) == 1
    return lines[0].replace("\\\n", " ").split()


def test_the_systems_packages_are_installed_as_readme_says():
    """What CI runs is the line that a newcomer copies."""
    readme, ci = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", ".ci/run"))
    packages = installed_by_apt(ci)
    assert packages == installed_by_apt(readme) and "libegl1" in packages


def test_the_check_list_names_what_is_there():
    """Each row of the check-list says where its item is met; that its links lead somewhere, Testing/test_docs.py holds."""
    page = (ROOT / "docs" / "publishing.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| \d+ \|", line)]
    assert len(rows) >= 20
    for row in rows:
        assert len([cell for cell in row.strip("|").split("|") if cell.strip()]) == 4, row
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, len(rows) + 1))
