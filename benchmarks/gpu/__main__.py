"""Everything that a GPU is for, measured and proved by one command, with its results in one folder.

    python -m benchmarks.gpu --output DIR                  at most 8 minutes on an H100 or H200
    python -m benchmarks.gpu --output DIR --small --device cpu      the same script in a rehearsal

In order of importance: tests of training and prediction on the device; prediction of 512 x 512 x 275 voxels; training beside
loaders that augment each sample; a run that is killed and resumed; slices exchanged while the device computes; and the release
training, which gets the time that is left. Each proof runs in a process of its own, so that one that fails, hangs or leaves the
device unusable stops no other, and writes DIR/NAME.json as it ends; DIR/summary.md and summary.json hold all. The exit status
is 1 if a proof failed or was ended; missed goals of speed are named and don't count. No file is larger than 16 MB.

A machine without internet needs two steps (docs/speed.md):

    make gpu-bundle DATASET=abdomen8                       where there is internet: gpu-bundle/, at most 64 MB with this checkout
    python3 -m benchmarks.gpu --output results             in a copy of this checkout with that folder, on the GPU's machine

There Python 3.11 or later with torch and numpy is enough; SimpleITK is not needed. Without gpu-bundle, or --preprocessed,
synthetic hearts are trained on.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from .carried import ROOT, carried_dataset, make_importable
from .proof import Proof, Result, Setup, share_of_time
from .summary import write_summary

GRACE_S = 10.0  # a proof that does not end by itself is ended this long after its time
RESERVE_S = 12.0  # for this, and for the summary
LARGEST_LOG = 2**20


def all_proofs(small: bool) -> list[Proof]:
    """The proofs in the order in which they run; the last ones are skipped first."""

    def lazy(module: str):  # a proof's imports need what `make_importable` finds
        def run(setup: Setup) -> Result:
            from importlib import import_module

            return import_module(f"{__package__}.{module}").run(setup)

        return run

    least = 5.0 if small else 1.0
    times = {
        "device_tests": ("the tests of training and prediction pass on the device", 30, 100),
        "prediction": ("prediction of a scan of 512 x 512 x 275 voxels", 25, 60),
        "training": ("training beside loaders that augment each sample", 60, 140),
        "resume": ("killed and resumed to the bit", 40, 90),
        "exchange": ("slices exchanged while the device computes", 30, 60),
        "release_training": ("the training of the release at full length", 60, 10_000),
    }
    return [
        Proof(name, title, lazy(name), at_least if not small else least, at_most)
        for name, (title, at_least, at_most) in times.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu for a rehearsal")
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run, not how fast it is")
    parser.add_argument("--minutes", type=float, default=8.0, help="time for everything")
    parser.add_argument("--preprocessed", type=Path, help="data set that unetseg prepare wrote (default: gpu-bundle's)")
    parser.add_argument("--only", default="", metavar="NAMES", help="proofs to run, separated by commas")
    parser.add_argument("--proof", help=argparse.SUPPRESS)  # in a process of its own
    parser.add_argument("--seconds", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    chosen = [name for name in options.only.split(",") if name]
    named = {proof.name: proof for proof in all_proofs(options.small)}
    proofs = [proof for name, proof in named.items() if not chosen or name in chosen]
    if unknown := set(chosen) - {proof.name for proof in proofs}:
        parser.error(f"--only names {', '.join(sorted(unknown))}; the proofs are {', '.join(named)}")
    if options.preprocessed and not (options.preprocessed / "pack.json").is_file():
        kind = "no preprocessed data set" if options.preprocessed.is_dir() else "no folder"
        print(f"{options.preprocessed} is {kind}; name one that unetseg prepare wrote", file=sys.stderr)
        return 2
    options.output.mkdir(parents=True, exist_ok=True)
    if options.proof:
        return _child(next(proof for proof in proofs if proof.name == options.proof), options)
    with tempfile.TemporaryDirectory(prefix="unetseg-gpu-") as work:
        return _run_all(proofs, options, Path(work))


def _run_all(proofs: list[Proof], options: argparse.Namespace, work: Path) -> int:
    deadline = time.monotonic() + 60 * options.minutes - RESERVE_S
    taken = make_importable(work)
    print(f"taken from gpu-bundle: {', '.join(taken) or 'nothing'}", flush=True)
    import torch

    from .hardware import hardware_facts

    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print("torch finds no CUDA device here; --device cpu --small rehearses", file=sys.stderr)
        return 2
    facts = hardware_facts(device)
    options.preprocessed = options.preprocessed or (None if options.small else carried_dataset(work))
    facts["data"] = str(options.preprocessed.name if options.preprocessed else "synthetic hearts")
    if options.preprocessed is None:
        from .synthetic import write_hearts

        options.preprocessed = work / "preprocessed"
        write_hearts(options.preprocessed, *((3, 8, 48) if options.small else (9, 96, 192)))
    for name, value in facts.items():
        print(f"{name}: {value}", flush=True)
    results: dict[str, Result] = {}
    skipped: list[str] = []
    left = list(proofs)
    while left:
        seconds, too_many = share_of_time(left, deadline - time.monotonic())
        for proof in too_many:
            print(f"SKIPPED {proof.name}: {deadline - time.monotonic():.0f} s are left", flush=True)
            skipped.append(proof.name)
            left.remove(proof)
        if not left:
            break
        proof = left.pop(0)
        print(f"{proof.name} (at most {seconds:.0f} s): {proof.title}", flush=True)
        results[proof.name] = _in_a_process(proof, seconds, options, work)
        print(f"  {'holds' if results[proof.name].ok else 'FAILED'} in {results[proof.name].seconds:.1f} s", flush=True)
        text = write_summary(options.output, facts, proofs, results, skipped)
    print(text if results else "nothing was run", flush=True)
    return 0 if results and all(result.ok for result in results.values()) else 1


def _in_a_process(proof: Proof, seconds: float, options: argparse.Namespace, work: Path) -> Result:
    """What the proof found; a failure if its process ended without a word or had to be ended."""
    path, log = options.output / f"{proof.name}.json", options.output / f"{proof.name}.log"
    path.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu", "--proof", proof.name, "--seconds", str(seconds)]
    command += ["--output", str(options.output.resolve()), "--device", options.device]
    command += ["--preprocessed", str(options.preprocessed.resolve()), *(["--small"] if options.small else [])]
    began, ended_by_force = time.monotonic(), False
    root = Path(__file__).resolve().parents[2]
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, cwd=root, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            process.wait(timeout=seconds + GRACE_S)
        except subprocess.TimeoutExpired:
            ended_by_force = True
        finally:
            if process.poll() is None:  # also on Ctrl-C, which does not reach another session
                _end_group(process)
    taken = time.monotonic() - began
    if path.exists():
        result = Result.read(path)
    else:
        said = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        how = f"ended after {taken:.0f} s" if ended_by_force else f"its process ended with status {process.returncode}"
        result = Result(failure=f"{said}\n{how}")
    result.seconds = taken
    result.write(path)
    if log.stat().st_size > LARGEST_LOG:
        log.write_text(log.read_text(encoding="utf-8", errors="replace")[-LARGEST_LOG:], encoding="utf-8")
    if not log.stat().st_size:
        log.unlink()
    return result


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and those that it started."""
    import os
    import signal

    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _child(proof: Proof, options: argparse.Namespace) -> int:
    """Run one proof in this process and write what it found, or the traceback."""
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix=f"unetseg-gpu-{proof.name}-") as work:
        setup = Setup(options.device, options.small, options.preprocessed, options.output, Path(work), deadline)
        try:
            result = proof.run(setup)
        except Exception:
            result = Result(failure=traceback.format_exc())
    result.write(options.output / f"{proof.name}.json")
    print(json.dumps({"proof": proof.name, "ok": result.ok}), flush=True)
    return 0 if result.ok else 1


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "training"), str(ROOT / "UNetSegmenter")]  # this checkout may not be installed
    from ..command_line import run

    sys.exit(run(main, "gpu"))
