"""The site of docs/: its hooks show pages as GitHub does, and its check finds what leads nowhere; `make docs` builds it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .test_docs import PAGES, _headings

pytest.importorskip("mkdocs", reason="pip install .[docs]")

from tools import site_hooks

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/OWNER/NAME"
EXERCISE = """Text
* one
  more of it
* two

Text

1. A question

   ```sh
   unetseg info scan
       indented
   ```

   <details><summary>Answer</summary>

   An answer:
   * point
   </details>

After it
"""


def test_lists_and_answers_are_those_of_github():
    markdown = pytest.importorskip("markdown")
    extensions = ["pymdownx.superfences", "pymdownx.details"]
    html = markdown.markdown(site_hooks.as_python_markdown(EXERCISE), extensions=extensions)
    assert html.count("<ul>") == 2 and html.count("<ol>") == 1
    item = html.partition("<ol>")[2].partition("</ol>")[0]
    assert "unetseg info scan\n    indented" in re.sub("<[^>]+>", "", item)
    assert '<details class="note">\n<summary>Answer</summary>' in item and "<li>point</li>" in item
    assert html.endswith("<p>After it</p>")


@pytest.mark.parametrize(
    ("page", "link", "target"),
    [
        ("docs/course", "../../Resources/Screenshots/demo.png", "../Resources/Screenshots/demo.png"),
        ("docs/course", "../models.md", "../models.md"),
        ("docs", "course/1-scan.md", "course/1-scan.md"),
        ("docs", "../README.md", f"{REPOSITORY}/blob/main/README.md"),
        ("docs", "../CHANGELOG.md", "CHANGELOG.md"),
        ("", "docs/import.md", "docs/import.md"),
        ("docs", "../training/unetseg/training/losses.py", "api/unetseg.training.losses.md"),
        ("docs", "../Makefile", f"{REPOSITORY}/blob/main/Makefile"),
        ("docs", "https://www.slicer.org", "https://www.slicer.org"),
    ],
)
def test_links_lead_where_they_do_on_github(page, link, target):
    api_pages = {source: site_hooks._api_page_name(source) for source in site_hooks.api_sources()}
    if page == "":
        target = "import.md"
    here = page.removeprefix("docs").removeprefix("/")
    assert site_hooks._target(link, page, here, api_pages, REPOSITORY) == target


def test_links_are_found_in_text_and_below_it():
    text = "[a](../Makefile#x) and [b][c]\n\n[c]: ../LICENSE\n"
    assert [match[2] for match in site_hooks.LINK.finditer(text)] == ["../Makefile", "../LICENSE"]


def test_headings_have_githubs_anchors():
    for page in PAGES:
        titles = [line.lstrip("# ") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        assert {site_hooks.github_anchor(title) for title in titles} >= _headings(page)


def test_the_check_of_the_site_finds_what_leads_nowhere(tmp_path):
    (tmp_path / "index.html").write_text('<h1 id="top">A</h1><a href="b.html#there">b</a><a href="#top">top</a>')
    (tmp_path / "b.html").write_text('<p id="there"></p><a href="http://elsewhere.org">a link may lead away</a>')
    command = [sys.executable, "tools/check_site.py", tmp_path]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    (tmp_path / "b.html").write_text(
        '<a href="index.html#no"></a><a href="c.html"></a><img src="https://cdn.org/x.png">'
    )
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    for words in (
        "b.html#there leads to no heading",
        "#no leads to no heading",
        "c.html leads to no file",
        "b.html fetches",
    ):
        assert words in done.stdout
