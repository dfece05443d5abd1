"""Hooks of mkdocs.yml: the pages of docs/ are written for GitHub, and these let MkDocs show them as GitHub does.

Three things differ. A link may leave docs/ (`../Resources/...`, `../training/...`): pictures come along, files with a page of
their own lead there, everything else leads to the repository. Lists may follow a line of text directly and be indented by as
much as their marker is wide. A folded answer is `<details>`. The reference of the API is made here too: one page for each
Python file that docs/api.md links to.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES_OUTSIDE = ("CHANGELOG.md", "SECURITY.md")
API_PAGE = "api.md"
SOURCE_FOLDERS = ("UNetSegmenter", "training")
API_OPTIONS = {  # the module is documented as Slicer's own are, and has more than its scripting interface
    "UNetSegmenter": "    options:\n      docstring_style: sphinx\n"
    "      members: [UNetSegmenterLogic, UNetSegmenterParameterNode]\n",
}

LINK = re.compile(r"(\]\(|^\[[^\]]+\]: +)([^)\s#]*)(#[^)\s]*)?(\)|$)", re.MULTILINE)
FENCE = re.compile(r"^ *(```|~~~)")
LIST_ITEM = re.compile(r"^( *)([*+-]|\d+\.)( +)")
ANSWER = re.compile(r"^( *)<details><summary>(.*?)</summary>$")


def github_anchor(title: str, separator: str = "-") -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", separator)


def repository_address() -> str:
    """The repository's address, which pyproject.toml names once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["urls"]["Repository"]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the repository, and put the pages that are made here into the navigation."""
    # Not as repo_url: the theme would have every page ask GitHub for stars and the latest release.
    icon = {"icon": "fontawesome/brands/github", "link": repository_address(), "name": "Repository"}
    config.extra["social"] = [icon]
    for tab in config.nav:
        for title, entries in tab.items():
            if title == "Scripting":
                position = next(n for n, entry in enumerate(entries) if API_PAGE in entry.values())
                entries[position + 1 : position + 1] = _api_navigation()
            if title == "Help":
                entries += [name for name in PAGES_OUTSIDE if (ROOT / name).exists()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pictures and pages that lie outside docs/, and the pages of the API."""
    for picture in sorted((ROOT / "Resources").rglob("*.*")):
        files.append(_file_of(picture, config))
    for name in PAGES_OUTSIDE:
        if (ROOT / name).exists():
            files.append(_file_of(ROOT / name, config))
    for source in api_sources():
        files.append(File.generated(config, _api_page_name(source), content=_api_page(source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn a page as GitHub shows it into one that MkDocs shows alike."""
    folder = "" if page.file.src_uri in PAGES_OUTSIDE else "docs/" + posixpath.dirname(page.file.src_uri)
    here = posixpath.dirname(page.file.src_uri)
    api_pages = {source: _api_page_name(source) for source in api_sources()}

    def replaced(link: re.Match[str]) -> str:
        target = _target(link[2], folder, here, api_pages, repository_address())
        return f"{link[1]}{target}{link[3] or ''}{link[4]}"

    return LINK.sub(replaced, as_python_markdown(markdown))


def _target(link: str, folder: str, here: str, api_pages: dict[str, str], repository: str) -> str:
    """Where a link of a page leads on the site."""
    if not link or re.match(r"[a-z]+:", link):
        return link
    path = posixpath.normpath(posixpath.join(folder, link))
    if path in api_pages:
        return posixpath.relpath(api_pages[path], here or ".")
    if path.startswith("Resources/") or path in PAGES_OUTSIDE:
        return posixpath.relpath(path, here or ".")
    if path.startswith("docs/"):
        return posixpath.relpath(path, "docs/" + here)
    return f"{repository}/blob/main/{path}"


def api_sources() -> list[str]:
    """The Python files that docs/api.md links to, in its order, from the repository's root."""
    return [source for sources in _api_sections().values() for source in sources]


def _api_sections() -> dict[str, list[str]]:
    """The files of each section of docs/api.md."""
    text = (ROOT / "docs" / API_PAGE).read_text(encoding="utf-8")
    _, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return {
        title: re.findall(r"\]\(\.\./([\w/]+\.py)\)", part) for title, part in zip(parts[::2], parts[1::2], strict=True)
    }


def _module_name(source: str) -> str:
    """The name under which Python imports a file."""
    return ".".join(Path(source).with_suffix("").parts[1:])


def _api_page_name(source: str) -> str:
    return f"api/{_module_name(source)}.md"


def _api_page(source: str) -> str:
    name = _module_name(source)
    return f"# {name.rpartition('.')[2]}\n\n`{name}`\n\n::: {name}\n{API_OPTIONS.get(name, '')}"


def _api_navigation() -> list[dict[str, list[dict[str, str]]]]:
    """One fold of the navigation for each section of docs/api.md."""
    return [
        {f"API: {title}": [{_module_name(one).rpartition(".")[2]: _api_page_name(one)} for one in sources]}
        for title, sources in _api_sections().items()
    ]


def _file_of(path: Path, config: MkDocsConfig) -> File:
    return File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path))


def as_python_markdown(markdown: str) -> str:
    """GitHub's lists and folded answers in Python-Markdown's spelling.

    A list gets a blank line before it, and the text of its items is indented by four spaces; an answer becomes `???`.
    """
    lines: list[str] = []
    width = 0  # of the marker of the list item that is open; 0 outside of lists
    deeper = 0  # inside a folded answer
    fenced = inner = False  # inner: in a list within an item or an answer
    for line in markdown.splitlines():
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        item = None if fenced else LIST_ITEM.match(line)
        if item and indent == 0:
            if lines and lines[-1].strip() and not width:
                lines.append("")
            width = item.end()
            lines.append(line)
            continue
        if text and indent < width and not fenced and not lines[-1].strip():
            width = 0  # a line at the margin after a blank one ends the list
        shift = 4 - width if width and indent >= width else 0
        if item and lines and lines[-1].strip() and not inner:
            lines.append("")
        inner = bool(item) or (inner and bool(text))
        if answer := ANSWER.match(line):
            lines.append(f'{" " * (indent + shift)}??? note "{answer[2]}"')
            deeper = 4
        elif text == "</details>":
            deeper = 0
        else:
            lines.append(" " * (indent + shift + deeper) + text if text else "")
        fenced ^= bool(FENCE.match(line))
    return "\n".join(lines) + "\n"
