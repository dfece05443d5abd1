"""Hand a training run to LSF, SLURM or another machine: write its script, copy code and pack with rsync, submit.

The run is wall-time safe: before the time is up it saves, and the job is queued again. --folds makes a job array with
one member a fold; --dry-run prints the script and the commands and does nothing.

  unetseg submit packs/abdomen --output runs/first --scheduler lsf --queue gpuv100 --hours 8 --dry-run
  unetseg submit packs/abdomen --output runs/cv --scheduler slurm --folds 5 --train "--steps 4000 --base-width 32"
  unetseg submit packs/abdomen --output runs/first --scheduler ssh --host me@server --folder unetsegmenter
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def add_options(parser: Any) -> None:
    parser.add_argument("pack", type=Path, help="folder that unetseg prepare wrote, relative to the working folder")
    parser.add_argument("--output", type=Path, required=True, metavar="RUN", help="folder of the run, relative too")
    parser.add_argument("--scheduler", required=True, help="lsf, slurm or ssh")
    parser.add_argument("--queue", default="gpu", help="queue (LSF) or partition (SLURM)")
    parser.add_argument("--gpus", type=int, default=1, help="GPUs a node; 0 trains on the CPU")
    parser.add_argument("--nodes", type=int, default=1, help="machines (SLURM)")
    parser.add_argument("--cores", type=int, default=4, help="CPU cores a node")
    parser.add_argument("--memory_gb", type=int, default=16, help="memory a node")
    parser.add_argument("--hours", type=float, default=24.0, help="wall time")
    parser.add_argument("--folds", type=int, default=0, help="a job array over this many folds of the pack")
    parser.add_argument("--name", default="", help="what the job is called (default: the run's folder)")
    parser.add_argument("--host", default="", metavar="USER@HOST", help="submit there, after copying code and pack")
    parser.add_argument("--folder", default="", help="folder of the project on the host (default: this folder)")
    parser.add_argument(
        "--setup", default=". .venv/bin/activate", help="shell line that makes the command unetseg known"
    )
    parser.add_argument(
        "--train", default="", metavar="OPTIONS", help='options of unetseg train, such as "--steps 4000"'
    )
    parser.add_argument("--dry_run", action="store_true", help="print, and do nothing")


def run(options: Any) -> None:
    import shlex

    from UNetSegmenterLib.engine.errors import InputError

    from ..cluster.submission import Job, commands, job_script, submit
    from ..console import say
    from ..pack import read_pack
    from ..splits import fold_splits

    pack = read_pack(options.pack)
    if options.folds:
        for fold in range(options.folds):
            fold_splits(pack.splits, fold)
    if options.host and (options.pack.is_absolute() or options.output.is_absolute()):
        raise InputError(
            "With --host, give PACK and --output relative to the working folder: they lie there on the host too."
        )
    job = Job(
        options.name or options.output.name,
        options.pack.as_posix(),
        options.output.as_posix(),
        options.folder or ("unetsegmenter" if options.host else str(Path.cwd())),
        tuple(shlex.split(options.train)),
        options.folds,
        options.queue,
        options.gpus,
        options.nodes,
        options.cores,
        options.memory_gb,
        options.hours,
        options.setup,
        options.host,
    )
    script, code = options.output / "submit.sh", _code() if options.host else None
    if options.dry_run:
        say(job_script(job, options.scheduler))
        for step in commands(job, options.scheduler, script, code, options.pack):
            say(f"would run: {shlex.join(step)}")
        return
    say(submit(job, options.scheduler, script, code, options.pack))


def _code() -> Path | None:
    """The project's folder, if this is run from a copy of it rather than from an installed wheel."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "pyproject.toml").is_file() else None
