"""The precision that a device computes a forward pass in: by what its hardware has, so that every run chooses alike."""

from __future__ import annotations

from pathlib import Path

import torch

BFLOAT16_CAPABILITY = (8, 0)  # Ampere; NVIDIA, CUDA C++ Programming Guide, arithmetic instructions
CPU_FACTS = Path("/proc/cpuinfo")


def mixed_precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it, float16 on older GPUs, else float32.

    The device itself is asked: torch.cuda.is_bf16_supported also says yes where bfloat16 is emulated (V100, T4), which is
    slower than float32, and it speaks of the current device, which may be another one.
    """
    if device.type == "cuda":
        has_bfloat16 = torch.cuda.get_device_capability(device) >= BFLOAT16_CAPABILITY
        return torch.bfloat16 if has_bfloat16 else torch.float16
    if device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware (those with AMX do too); elsewhere it is slower than float32."""
    try:
        return "avx512_bf16" in CPU_FACTS.read_text(encoding="ascii", errors="ignore").split()
    except OSError:
        return False
