"""The device that a network runs on: choosing it, the precision it computes in, and the memory of its process."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..counting import counted
from ..errors import InputError
from .architectures import PLAIN_CONV_UNET, RESIDUAL_ENCODER_UNET, NetworkDescription

if TYPE_CHECKING:
    import torch

BFLOAT16_CAPABILITY = (8, 0)  # Ampere; NVIDIA, CUDA C++ Programming Guide, arithmetic instructions
CPU_FACTS = Path("/proc/cpuinfo")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")  # torch's names, and the choice by the hardware
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3) of glibc
_ONE_GB = 2**30


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; "auto" is the fastest one of this machine. Raises InputError if it is not available."""
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f'"{name}" is not a device; auto, cpu, cuda, cuda:1 or mps are known.') from error
    if device.type == "cuda" and (device.index or 0) >= (number := torch.cuda.device_count()):
        advice = "Choose auto or cpu." if number == 0 else "They are counted from cuda:0."
        raise InputError(
            f'The device "{name}" was requested; this machine has {counted(number, "CUDA device")}. {advice}'
        )
    if device.type == "mps" and not has_mps:
        raise InputError('The device "mps" was requested, but this machine has none; choose auto or cpu.')
    if device.type not in ("cpu", "cuda", "mps"):
        raise InputError(f'The device "{name}" is not supported; auto, cpu, cuda, cuda:1 or mps are known.')
    return device


def available_devices() -> list[dict[str, str]]:
    """Devices that the network can run on, the fastest first: {"device": what to request, "name": for the user}."""
    import torch

    devices = [{"device": "cpu", "name": f"CPU, {torch.get_num_threads()} threads"}]
    if torch.backends.mps.is_available():
        devices.insert(0, {"device": "mps", "name": "Apple GPU"})
    if torch.cuda.is_available():
        devices.insert(0, {"device": "cuda", "name": torch.cuda.get_device_name(0)})
    return devices


def precision_name(dtype: torch.dtype) -> str:
    """The name of a type of torch, as `PRECISIONS` has it."""
    return str(dtype).removeprefix("torch.")


def mixed_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float16 on older GPUs, else float32.

    The device itself is asked, not torch.cuda.is_bf16_supported: that is also true where bfloat16 is emulated (V100, T4),
    which is slower than float32, and it is about the current device, which may be another one.
    """
    import torch

    if device.type == "cuda":
        has_bfloat16 = torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def has_in_hardware(dtype: torch.dtype, device: torch.device) -> bool:
    """Whether the device multiplies numbers of that type itself; where it does not, they are slower than float32."""
    import torch

    if dtype == torch.float32:
        return True
    return device.type == "cuda" if dtype == torch.float16 else mixed_precision(device) == dtype


def fastest_precision(network: NetworkDescription, device: torch.device) -> torch.dtype:
    """The fastest precision whose labels are those of float32.

    `mixed_precision`, but bfloat16 is too coarse for nnU-Net's networks, whose instance normalisation does not fold into the
    convolutions: in an abdominal CT it changed 0.02 % of the voxels, and the mean Dice with nnU-Net's own labels fell from
    0.9998 to 0.993. They compute in float32 on a CPU, and in float16 on a CUDA device, as nnU-Net does there.
    """
    import torch

    if network.architecture not in (PLAIN_CONV_UNET, RESIDUAL_ENCODER_UNET):
        return mixed_precision(device)
    return torch.float16 if device.type == "cuda" else torch.float32


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (those with AMX do too); elsewhere it is slower than float32."""
    try:
        return "avx512_bf16" in CPU_FACTS.read_text(encoding="ascii", errors="ignore").split()
    except OSError:
        return False


def keep_freed_memory() -> None:
    """Let glibc keep freed blocks for the next step instead of returning them to the system; elsewhere do nothing.

    By default each feature map over 32 MB is mapped and unmapped anew, and the kernel clears its pages every time:
    a training step of a base-16 U-Net at 256 x 256, batch 16, took 381 ms per slice on two cores, and 92 ms with this.
    Call it only in a process that exists to run the network.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _ONE_GB)
        mallopt(_M_TRIM_THRESHOLD, _ONE_GB)
