"""Check the built site: every link and picture leads to a file, every anchor exists, and no page fetches from elsewhere.

python tools/check_site.py build/site
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

FETCHED = {"img": "src", "script": "src", "link": "href", "source": "src", "iframe": "src"}
NOT_FETCHED = {"canonical", "alternate", "next", "prev"}  # relations of <link> that a browser follows on no page


class Page(HTMLParser):
    """The links of a page, what it fetches, and its anchors."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what one element refers to."""
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if values.get("data-md-component") == "source":
            self.fetched.append("//api.github.com")  # the theme's script asks there for facts about the repository
        if tag in FETCHED and FETCHED[tag] in values and values.get("rel") not in NOT_FETCHED:
            self.fetched.append(values[FETCHED[tag]])


def problems_of(site: Path) -> list[str]:
    """One line for each link that leads nowhere and for each thing that is fetched from elsewhere."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    problems = []
    for path, page in pages.items():
        where = path.relative_to(site)
        problems += [f"{where} fetches {one}" for one in page.fetched if "//" in one.partition("?")[0]]
        for link in page.links + page.fetched:
            if link.startswith(("http:", "https:", "mailto:", "data:", "javascript:")):
                continue
            name, anchor = urldefrag(link)
            target = (path.parent / unquote(name)).resolve() if name else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                problems.append(f"{where}: {link} leads to no file")
            elif target in pages and unquote(anchor) not in pages[target].anchors:
                problems.append(f"{where}: {link} leads to no heading")
    return problems


def main() -> int:
    """Print what is wrong and return the exit status."""
    site = Path(sys.argv[1]).resolve()
    problems = problems_of(site)
    for one in problems:
        print(one)
    print(f"{site}: {len(list(site.rglob('*.html')))} pages, {len(problems)} problems")
    return 1 if problems or not (site / "index.html").exists() else 0


if __name__ == "__main__":
    sys.exit(main())
