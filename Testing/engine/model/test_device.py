"""The device: it is chosen by name or refused, and its own hardware decides the precision."""

import pytest
import torch
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model import device as device_module
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
from UNetSegmenterLib.engine.model.device import available_devices, choose_device, mixed_precision
from UNetSegmenterLib.engine.model.prediction import Predictor

from ..checkpoints import small_card, small_weights
from .test_prediction import scan

V100, T4, A100, H100, GTX_1080 = (7, 0), (7, 5), (8, 0), (9, 0), (6, 1)


def gpus(monkeypatch, *capabilities, current=0):
    """A machine with these GPUs, whose torch emulates bfloat16 where they have none."""

    def capability(device=None):
        index = current if device is None else torch.device(device).index
        return capabilities[current if index is None else index]

    monkeypatch.setattr(torch.cuda, "get_device_capability", capability)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


@pytest.mark.parametrize(
    ("capability", "dtype"),
    [
        (GTX_1080, torch.float16),
        (V100, torch.float16),
        (T4, torch.float16),
        (A100, torch.bfloat16),
        ((8, 6), torch.bfloat16),
        (H100, torch.bfloat16),
        ((12, 0), torch.bfloat16),
    ],
)
def test_bfloat16_from_capability_8(monkeypatch, capability, dtype):
    gpus(monkeypatch, capability)
    assert mixed_precision(torch.device("cuda")) is dtype


def test_the_device_in_use_is_asked_and_not_the_current_one(monkeypatch):
    gpus(monkeypatch, A100, V100)
    assert mixed_precision(torch.device("cuda", 1)) is torch.float16
    assert mixed_precision(torch.device("cuda")) is torch.bfloat16
    gpus(monkeypatch, A100, V100, current=1)
    assert mixed_precision(torch.device("cuda", 0)) is torch.bfloat16
    assert mixed_precision(torch.device("cuda")) is torch.float16


@pytest.mark.parametrize(
    ("instructions", "flags", "dtype"),
    [
        ("AVX512", "avx512f avx512_bf16 amx_bf16", torch.bfloat16),  # Sapphire Rapids
        ("AVX512", "avx512f avx512_bf16", torch.bfloat16),  # Zen 4
        ("AVX512", "avx512f avx512_vnni", torch.float32),  # Cascade Lake
        ("AVX512", "avx512f avx512_bf16x", torch.float32),
        ("AVX2", "avx2 avx512_bf16", torch.float32),  # torch was told to leave AVX512 alone
        ("DEFAULT", "bf16", torch.float32),
        ("AVX512", None, torch.float32),  # no Linux: it can't be asked
    ],
)
def test_bfloat16_on_a_cpu_that_multiplies_it(monkeypatch, tmp_path, instructions, flags, dtype):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: instructions)
    monkeypatch.setattr(device_module, "CPU_FACTS", tmp_path / "cpuinfo")
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"model name : some CPU\nflags\t\t: fpu {flags} vme\n")
    assert mixed_precision(torch.device("cpu")) is dtype


def test_an_apple_gpu_computes_in_float32():
    assert mixed_precision(torch.device("mps")) is torch.float32


def test_numbers_beyond_float16_are_computed_in_float32(tmp_path, caplog):
    """Weights that float16 holds, with feature maps or logits that it does not hold."""
    card = small_card()
    weights = small_weights(card)
    for factor in (1.0, 3e4):
        weights["exit.weight"] *= factor
        weights["exit.bias"] *= factor
        checkpoint = Checkpoint(card, (weights,), tmp_path / "none.pt", "")
        exact = Predictor(checkpoint, "cpu", dtype=torch.float32).predict(scan())
        half = Predictor(checkpoint, "cpu", dtype=torch.float16)
        found = half.predict(scan())
        assert found.complete
        assert half.dtype is (torch.float16 if factor == 1 else torch.float32)
        agreement = (found.segmentation.labels == exact.segmentation.labels).mean()
        assert agreement > 0.99 if factor == 1 else agreement == 1
    assert "float32" in caplog.text
    assert "float32" in found.device


def test_a_device_is_chosen_by_name_or_refused():
    assert choose_device("cpu").type == "cpu"
    for name in ("abacus", "meta", "cuda:7"):
        with pytest.raises(InputError):
            choose_device(name)


@pytest.mark.parametrize(
    ("number", "advice"),
    [(0, "0 CUDA devices. Choose auto or cpu."), (2, "2 CUDA devices. They are counted from cuda:0.")],
)
def test_a_gpu_that_is_not_there_is_refused_with_what_can_be_chosen(monkeypatch, number, advice):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: number)
    with pytest.raises(InputError, match=advice):
        choose_device("cuda:2")


def test_every_device_that_is_offered_can_be_chosen():
    offered = [entry["device"] for entry in available_devices()]
    assert offered[-1] == "cpu"
    assert [choose_device(name).type for name in offered] == offered
    assert choose_device("auto").type == offered[0]
