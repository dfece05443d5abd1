"""Hand jobs over: write their scripts, copy code and data to the host, prepare it, submit."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text

from .jobs import JobChain, below
from .scripts import PLAIN_PATH, scripts, submission

NUMBERS = "jobs.txt"  # what the scheduler answered, beside the scripts
NOT_COPIED = (
    *(".git", ".venv", ".venv-bench", ".cache", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info"),
    *("build", "dist", "demo-output", "packs", "preprocessed", "runs"),
)


def commands(chain: JobChain, scheduler: str, code: Path | None) -> list[list[str]]:
    """The commands to run here, in order: copies of code and data and preparation if there is a host, then the submission.

    Args:
        chain: the jobs.
        scheduler: "lsf", "slurm" or "ssh".
        code: the project's folder, to be copied to the host.
    """
    line = submission(chain, scheduler)
    if not chain.host:
        return [["sh", "-c", line]]
    target = below(chain.folder, chain.output)
    copies = {path: below(chain.folder, path) for path in chain.inputs}
    folders = [target, *(there if Path(path).is_dir() else str(Path(there).parent) for path, there in copies.items())]
    steps = [_on_host(chain, f"mkdir -p -- {shlex.join(folders)}")]
    if code is not None:
        excluded = [f"--exclude={name}" for name in NOT_COPIED]
        steps.append(_copy(chain, f"{code}/", f"{below(chain.folder, '.')}/", *excluded))
    for path, there in copies.items():
        end = "/" if Path(path).is_dir() else ""
        steps.append(_copy(chain, f"{path}{end}", f"{there}{end}", "--partial", "--copy-unsafe-links"))
    for name in scripts(chain, scheduler):
        steps.append(_copy(chain, str(Path(chain.output) / name), f"{target}/{name}"))
    if chain.preparation:
        steps.append(_on_host(chain, f"cd -- {shlex.quote(chain.folder)} && {{ {chain.preparation}; }}"))
    steps.append(_on_host(chain, line))
    return steps


def _on_host(chain: JobChain, line: str) -> list[str]:
    """A line of sh for the host: ssh hands it to the user's own shell, which may be another one, so it is quoted once more."""
    return ["ssh", "--", chain.host.replace("[", "").replace("]", ""), f"sh -c {shlex.quote(line)}"]


def _copy(chain: JobChain, here: str, there: str, *options: str) -> list[str]:
    """rsync of one file or folder; a name with a colon is a local file, and no name is an option.

    -s passes the path on as it is. It is left out for simple paths, because Apple's rsync does not know it.
    """
    here = here if here.startswith("/") else f"./{here}"
    protected = [] if PLAIN_PATH.fullmatch(there) else ["-s"]
    return ["rsync", "-az", *protected, *options, "--", here, f"{chain.host}:{there}"]


def submit(
    chain: JobChain,
    scheduler: str,
    code: Path | None,
    overwrite: bool = False,
    show: Callable[[str], None] = lambda line: None,
) -> str:
    """Write the scripts, run the commands and return the output of the last one, which is kept in jobs.txt too.

    Args:
        chain: the jobs.
        scheduler: "lsf", "slurm" or "ssh".
        code: the project's folder, to be copied to the host.
        overwrite: replace scripts that exist and differ; they may have been edited.
        show: gets each command before it runs.

    Raises:
        InputError: a script exists and differs, or a command failed.
    """
    output = Path(chain.output)
    texts = {output / name: text for name, text in scripts(chain, scheduler).items()}
    for path, text in texts.items():
        if not overwrite and path.exists() and path.read_bytes() != text.encode():
            raise InputError(
                f"{path} exists and differs; submit it by hand, move it away, or replace it with --overwrite."
            )
    for path, text in texts.items():
        write_text(path, text)
    answer = ""
    for step in commands(chain, scheduler, code):
        show(shlex.join(step))
        answer = _run(step, output)
    write_text(output / NUMBERS, answer + "\n")
    return answer


def _run(step: list[str], folder: Path) -> str:
    try:
        result = subprocess.run(step, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except FileNotFoundError as error:
        raise InputError(
            f"{step[0]} is not installed here; install it, or take the scripts in {folder} to the cluster."
        ) from error
    if result.returncode:
        message = (result.stderr.strip() or result.stdout.strip() or f"status {result.returncode}").splitlines()
        reason = "; ".join(line.strip() for line in message[-3:])
        raise InputError(f"{shlex.join(step)[:160]} failed: {reason}; the scripts are in {folder}.")
    return result.stdout.strip()
