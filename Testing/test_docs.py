"""The documentation names files, pages, headings and commands that exist, and its lines can be read; the notebook runs."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import textwrap
from pathlib import Path

import pytest
from unetseg.cli import COMMANDS, check
from unetseg.cli import parser as parsing
from unetseg.cli.parser import CommandParser, command_and_parser
from unetseg.data.sample_download import default_cache
from UNetSegmenterLib.engine.evaluation import result_files

ROOT = Path(__file__).resolve().parents[1]
MOST_CHARACTERS = 149
FOLDERS = (
    "Resources",
    "Testing",
    "UNetSegmenter",
    "UNetSegmenterLib",
    "benchmarks",
    "docs",
    "engine",
    "panel",
    "scene",
    "tools",
    "training",
)
FOLDERS_WITH_PAGES = ("docs", "Testing", "UNetSegmenter")
PAGES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    *sorted(path for name in FOLDERS_WITH_PAGES for path in (ROOT / name).rglob("*.md")),
]
COMMAND_PAGES = [page for page in PAGES if page.parts[len(ROOT.parts)] in ("README.md", "docs")]
pages = pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])


@pytest.fixture(scope="module")
def files() -> list[str]:
    """All files of the working tree, without those that git ignores; with "/" in front, so that whole names are compared."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    if not any(listed):
        pytest.skip("this is no git repository")
    return [f"/{name}" for name in listed if name and (ROOT / name).exists()]


@pages
def test_lines_are_short(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [f"line {n}: {len(line)}" for n, line in enumerate(lines, 1) if len(line) > MOST_CHARACTERS] == []


@pages
def test_named_files_exist(page, files):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?<![\w/.<*-])[\w./-]*\w\.py\b", text))  # Python files, in code blocks too
    quoted = [name for name in re.findall(r"`([^`\n]+)`", text) if re.fullmatch(r"[\w./-]+(\.\w+|/)", name)]
    named |= {name for name in quoted if name.split("/")[0] in FOLDERS and "/" in name}
    missing = [name for name in sorted(named) if not _exists(name.replace("../", ""), files)]
    assert missing == []


def test_files_that_the_code_names_exist(files):
    """Docstrings and comments of the product name Python files by what they are called now."""
    sources = [path for folder in ("UNetSegmenter", "training", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert sources
    named = {
        (name, source.name)
        for source in sources
        for name in re.findall(r"(?<![\w/.<*-])[\w/]*\w\.py\b", source.read_text(encoding="utf-8"))
    }
    assert [one for one in sorted(named) if not _exists(one[0], files)] == []


@pages
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[[^\]]+\]: +(\S+)$", text, re.MULTILINE):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        if not linked.exists() or (heading and heading not in _headings(linked)):
            broken.append(target)
    assert broken == []


def _exists(name: str, files: list[str]) -> bool:
    if name.endswith("/"):
        return any(f"/{name}" in file for file in files)
    return any(file.endswith(f"/{name}") or f"/{name}/" in file for file in files)


def _headings(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


WALK_ROW = re.compile(r"^\| `([^`]+\.py)` \| `([A-Za-z_.]+)` \|", re.MULTILINE)


def test_the_journeys_of_the_architecture_can_be_walked():
    """Each step of a journey names a file and what to read in it."""
    bases = (ROOT / "UNetSegmenter" / "UNetSegmenterLib", ROOT / "training", ROOT)
    steps = WALK_ROW.findall((ROOT / "docs" / "architecture.md").read_text(encoding="utf-8"))
    assert len(steps) > 30
    for file, name in steps:
        path = next((base / file for base in bases if (base / file).is_file()), None)
        assert path is not None, f"{file} is not there"
        assert name in _names_in(path), f"{file} has no {name}"


def _names_in(path: Path) -> set[str]:
    """Functions, classes, their methods and constants of a file."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
            inner = node.body if isinstance(node, ast.ClassDef) else []
            names |= {f"{node.name}.{one.name}" for one in inner if isinstance(one, ast.FunctionDef)}
    return names


def shell_commands(page: Path) -> list[list[str]]:
    blocks = re.findall(r"^ *```(\w*)\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    lines = [
        line.strip()
        for language, block in blocks
        if language in ("", "sh", "bash")
        for line in textwrap.dedent(block).replace("\\\n", " ").splitlines()
    ]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("unetseg ")]


@pytest.mark.parametrize("page", COMMAND_PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_are_what_the_parser_takes(page, monkeypatch):
    """Every command is parsed as it stands there; of what is open ("...", "$options"), and of text in a line, its options."""
    monkeypatch.setattr(parsing, "_options_of_file", lambda path: {})  # files of --config are not there
    for name, *arguments in shell_commands(page):
        if name in ("--help", "--version"):
            continue
        parser = known_options(name, arguments)
        if not any(one == "..." or "$" in one for one in arguments):
            parser.parse([one for one in arguments if one not in (";", "done")])
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for command in re.findall(r"`unetseg ([a-z][^`]*)`", text):
        name, *arguments = command.split()
        known_options(name, arguments)


def known_options(name: str, arguments: list[str]) -> CommandParser:
    """The parser of a command that exists, as all its options do."""
    assert name in COMMANDS
    _, parser = command_and_parser(name)
    spelt = [one.partition("=")[0] for one in parser.with_current_spellings(arguments) if one.startswith("--")]
    assert [one for one in spelt if " " not in one and one not in parser.options] == []
    return parser


def test_make_targets_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in COMMAND_PAGES:
        text = page.read_text(encoding="utf-8")
        code = "\n".join(re.findall(r"^ *```.*?^ *```", text, re.DOTALL | re.MULTILINE))
        named = set(re.findall(r"^make ([a-z-]+)", code, re.MULTILINE)) | set(re.findall(r"`make ([a-z][a-z-]*)", text))
        assert named <= targets, page.name


def test_modules_that_are_run_exist():
    """`python -m NAME` names a module of this repository, or a package with a command."""
    for page in COMMAND_PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"python3? -m ((?:benchmarks|tools|Testing|unetseg)[\w.]*\w)", text):
            path = ROOT / ("training" if name.startswith("unetseg") else "") / name.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), (page.name, name)


@pytest.mark.parametrize(
    ("page", "columns"),
    [
        ("metrics.md", (*result_files.COLUMNS, result_files.SEEN_COLUMN)),
        ("plausibility.md", check.COLUMNS),
    ],
)
def test_columns_of_tables_are_explained(page, columns):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [column for column in columns if f"`{column}`" not in text] == []


def test_errors_that_troubleshooting_quotes_are_those_of_the_code():
    """Each text in quotation marks is part of a text in the product's code."""
    page = " ".join((ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8").split())
    quoted = set(re.findall(r'"([^"]+)"', page)) - {"quotation marks"}
    assert len(quoted) > 15
    sources = [path for folder in ("UNetSegmenter", "training") for path in (ROOT / folder).rglob("*.py")]
    texts = "\n".join(text for path in sources for text in _texts_in(path))
    assert [one for one in sorted(quoted) if one not in texts] == []


def _texts_in(path: Path) -> list[str]:
    """All texts of a file; what is filled in is left open."""
    texts = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            texts.append(node.value)
        elif isinstance(node, ast.JoinedStr):
            texts.append("".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values))
    return texts


def executed(name: str, folder: Path) -> str:
    """What a notebook of the course prints, run in a folder; it has to print no warning."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(ROOT / "docs" / "course" / name, as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "clear the outputs before committing"
    nbclient.NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    parts = [part for cell in notebook.cells for part in cell.get("outputs", ())]
    assert [part["text"] for part in parts if part.get("name") == "stderr"] == []
    return "".join(part.get("text", "") for part in parts)


@pytest.mark.slow
def test_notebook_runs_and_learns(tmp_path):
    printed = executed("unet.ipynb", tmp_path)
    dice = {name: float(value) for name, value in re.findall(r"^([a-z ]+?) +([\d.]+)$", printed, re.MULTILINE)}
    assert dice["mean"] > 0.8
    assert min(dice["ascending aorta"], dice["pulmonary artery"]) > 0.5, "the vessels are found too"


@pytest.mark.slow
def test_notebook_goes_from_a_scan_to_a_report(tmp_path):
    if not any(default_cache().glob("totalsegmentator-*")):
        pytest.skip("the sample scan is not there: unetseg demo fetches it")
    printed = executed("report.ipynb", tmp_path)
    assert float(re.search(r"^mean Dice ([\d.]+)$", printed, re.MULTILINE)[1]) > 0.75
    assert (tmp_path / "sample-report" / "report.html").stat().st_size > 100_000


def test_every_page_is_in_the_navigation():
    """What the navigation names is there, and each page of docs/ is in it."""
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2].partition("\nplugins:")[0]
    named = re.findall(r"([\w/-]+\.md)$", navigation, re.MULTILINE)
    assert sorted(named) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
