"""How much of a device's memory the slices of a data set may take."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from UNetSegmenterLib.engine.errors import InputError

from .configuration import TrainingConfig
from .distributed import ProcessGroup
from .planning import step_memory_gb

GB = 2**30
USABLE_FRACTION = {"cuda": 0.9, "mps": 0.5, "cpu": 0.5}  # of what is free; system and files need memory of a CPU, too
PROCESS_CGROUPS = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")
MEMORY_INFO = Path("/proc/meminfo")


def memory_for_slices(config: TrainingConfig, process_group: ProcessGroup, wanted_gb: float | None) -> int | None:
    """Bytes of this process's device that slices may take, None where the system does not say what is free.

    Args:
        config: the training configuration; a step of it needs memory, too.
        process_group: the process and those that it shares a CPU with.
        wanted_gb: the user's choice; None for what is free beside a step.

    Raises:
        InputError: more is wanted than is free.
    """
    device = process_group.device
    free = free_bytes(device)
    if wanted_gb is not None:
        wanted = wanted_gb * GB
        if free is not None and wanted > free:
            raise InputError(
                f"--device-memory is {wanted_gb:g} GB, and {free / GB:.1f} GB of {device} are free; give less, or leave it out."
            )
        return int(min(wanted, sys.maxsize))
    if free is None:
        return None
    processes = process_group.world_size if device.type == "cpu" else 1
    step_gb = step_memory_gb(config.patch, config.base_width, -(-config.batch_size // process_group.world_size))
    return max(0, int(USABLE_FRACTION[device.type] * free / processes - step_gb * GB))


def free_bytes(device: torch.device) -> int | None:
    """Memory of a device that nothing uses, None where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    if not MEMORY_INFO.exists():
        return None
    available = dict(line.split(":", 1) for line in MEMORY_INFO.read_text(encoding="ascii").splitlines())[
        "MemAvailable"
    ]
    return min([int(available.split()[0]) * 1024, *_left_in_groups()])


def _left_in_groups() -> list[int]:
    """What the control groups that a scheduler or a container put this process into still allow it.

    Linux, Documentation/admin-guide/cgroup-v2.rst, "memory.max", and cgroup-v1/memory.rst. Files in memory count as used
    there, and can be dropped.
    """
    left = []
    lines = PROCESS_CGROUPS.read_text(encoding="ascii").splitlines() if PROCESS_CGROUPS.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        first_version = "memory" in controllers.split(",")
        if controllers and not first_version:
            continue
        root = CGROUPS / "memory" if first_version else CGROUPS
        limit, used = (
            ("memory.limit_in_bytes", "memory.usage_in_bytes") if first_version else ("memory.max", "memory.current")
        )
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder == root.parent:
                break
            try:
                most = (folder / limit).read_text(encoding="ascii").strip()
                statistics = dict(
                    line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines()
                )
                files = int(statistics.get("total_inactive_file", statistics.get("inactive_file", 0)))
                if most != "max":
                    left.append(max(0, int(most) - int((folder / used).read_text(encoding="ascii")) + files))
            except OSError:  # the root has no limit, and a container shows its own group as the root
                continue
    return left
