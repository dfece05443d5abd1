"""The command lines of jobs: lines of shell in which $MEMBER is the member of an array, from 0."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def training_command(
    preprocessed: str, run: str, options: Sequence[str] = (), folds: int = 0, gpus: int = 1, nodes: int = 1
) -> str:
    """The command line of a training, or of the fold $MEMBER of a cross-validation.

    A job with GPUs names the device: it fails at once where the GPU can't be used, and never runs on the CPU instead.
    """
    train = ["train", preprocessed, *options, *_device(options, gpus)]
    if gpus > 1 or nodes > 1:
        train += ["--devices", str(max(1, gpus))]
    start = "unetseg"
    if nodes > 1:
        train += ["--nodes", str(nodes)]
        # The warning would end torchrun before its processes have saved, so torchrun ignores it. The port follows from the
        # job's number, so that two jobs that begin on one node don't meet; it stays below the ports that systems hand out.
        start = (
            'srun sh -c \'trap "" USR1; exec "$@"\' - '
            f"torchrun --nnodes={nodes} --nproc-per-node={max(1, gpus)} --rdzv-backend=c10d "
            '--rdzv-id="$SLURM_JOB_ID" '
            '--rdzv-endpoint="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):$((20000 + SLURM_JOB_ID % 12000))" '
            "-m unetseg.cli"
        )
    fold = '/fold"$MEMBER" --fold "$MEMBER"' if folds else ""
    return f"{start} {shlex.join(train)} --output {shlex.quote(run)}{fold}"


def cross_validation_command(preprocessed: str, runs: str, options: Sequence[str], gpus: int = 0) -> str:
    """The command line that sums up over finished folds and decides the post-processing, on the device that the job has."""
    device = ["--device", "cuda" if gpus else "cpu"]
    return f"unetseg {shlex.join(['cross-validate', preprocessed, *options, *device, '--output', runs])}"


def release_command(
    checkpoints: Sequence[str], dataset: str, runs: str, output: str, options: Sequence[str] = ()
) -> str:
    """The command line that releases a network, or several as an ensemble, with the figures of a cross-validation."""
    release = ["release", *checkpoints, dataset, "--cross-validated", runs, "--output", output, *options]
    return f"unetseg {shlex.join(release)}"


def evaluation_commands(
    checkpoint: str, dataset: str, output: str, options: Sequence[str], shards: int, gpus: int = 1
) -> tuple[str, str]:
    """The command line of the shard $MEMBER of an evaluation, and the command line that sums the shards up."""
    evaluate = shlex.join(["evaluate", checkpoint, dataset, *options, *_device(options, gpus)])
    folders = [f"{output}/shards/{number}" for number in range(1, shards + 1)]
    part = f'--shard "$((MEMBER + 1))/{shards}" --output {shlex.quote(output)}/shards/"$((MEMBER + 1))"'
    merge = shlex.join(["evaluate", "--merge", *folders, "--output", output])
    return f"unetseg {evaluate} {part}", f"unetseg {merge}"


def _device(options: Sequence[str], gpus: int) -> list[str]:
    given = any(option.partition("=")[0] == "--device" for option in options)
    return ["--device", "cuda"] if gpus and not given else []
