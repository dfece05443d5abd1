"""What the device is, what it can do at most, and how busy it is."""

from __future__ import annotations

import platform
import shutil
import subprocess
from typing import Any

import torch

# Dense FLOP/s of the tensor cores in bfloat16 (float16 where there is none), by a part of the name that the driver gives; from
# NVIDIA's data sheets, in which figures "with sparsity" are twice as large. The first that fits counts.
PEAK_FLOP_S = {
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "A30": 165e12,
    "A40": 149.7e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "V100": 125e12,
    "T4": 65e12,
}


def peak_of(device_name: str) -> float | None:
    """FLOP/s of the data sheet; None for a device that is not in the table."""
    words = device_name.replace("-", " ").split()
    for name, peak in PEAK_FLOP_S.items():
        parts = name.split()
        if all(part in words for part in parts):
            return peak
    return None


def device_name(device: torch.device) -> str:
    """Name of the device, as its driver has it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} thread(s)"


def hardware_facts(device: torch.device) -> dict[str, Any]:
    """What a reader of the figures needs to know later."""
    facts: dict[str, Any] = {
        "device": device_name(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cpu_threads": torch.get_num_threads(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_gb": round(properties.total_memory / 2**30, 1),
            "nvidia_smi": _nvidia_smi("name,driver_version,clocks.sm,clocks.mem,power.draw,utilization.gpu"),
        }
    return facts


def _nvidia_smi(query: str) -> str:
    if not shutil.which("nvidia-smi"):
        return "not installed"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, encoding="utf-8", check=False, timeout=20).stdout.strip()


class UtilisationSampler:
    """Samples a GPU's utilisation in a process of its own while its context is open; `mean` is None where it can't."""

    def __init__(self, device: torch.device, every_ms: int = 100) -> None:
        index = str(device.index or 0)
        query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-i", index, "-lms", str(every_ms)]
        self.command = ["nvidia-smi", *query] if device.type == "cuda" and shutil.which("nvidia-smi") else None
        self.process: subprocess.Popen[str] | None = None
        self.mean: float | None = None

    def __enter__(self) -> UtilisationSampler:
        if self.command:
            self.process = subprocess.Popen(
                self.command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is None:
            return
        self.process.terminate()
        text, _ = self.process.communicate(timeout=20)
        samples = [int(line) for line in text.split() if line.strip().isdigit()]
        self.mean = sum(samples) / len(samples) / 100 if samples else None


class Timeline:
    """Marks on the device's own clock (CUDA events), or on the wall clock of a CPU; no mark makes the device wait."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        """The present time, for `seconds`."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        import time

        return time.perf_counter()

    def seconds(self, start: Any, end: Any) -> float:
        """Seconds between two marks; waits until the device has come to the second."""
        if self.device.type == "cuda":
            end.synchronize()
            return start.elapsed_time(end) / 1000
        return end - start

    def wait(self) -> None:
        """Wait until the device has done all its work."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
