"""The training loop: the pack lives on the device, batches are drawn and augmented there, one page from top to bottom."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Generator, nn
from UNetSegmenterLib.engine.checkpoint import save_checkpoint
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.memory import keep_freed_memory
from UNetSegmenterLib.engine.network import UNet
from UNetSegmenterLib.engine.prediction import choose_device

from .augmentation import augment
from .device_data import DeviceData
from .losses import make_loss
from .pack import Pack
from .recipe import Recipe
from .run_files import RunLog, RunState, training_card
from .validation import validate

CHECK_EVERY = 10  # steps between looks at the loss: reading it makes a GPU wait


@dataclass(frozen=True)
class Progress:
    """What a person watching wants to know; `dice` is the mean of the last validation."""

    step: int
    steps: int
    loss: float
    slices_per_second: float
    seconds_left: float
    dice: float | None


def train(
    pack: Pack,
    run: Path,
    recipe: Recipe,
    device: str = "auto",
    title: str = "",
    validate_every: int = 500,
    save_every: int = 500,
    watch: Callable[[Progress], None] | None = None,
) -> Path:
    """Train, or go on where `run` stopped, and return RUN/checkpoint.pt.

    Beside it lie state.pt (to resume from), metrics.csv and TensorBoard's events. The batch of every step is drawn from the
    seed and the step alone, so a run that was interrupted ends with the weights of one that was not.
    """
    keep_freed_memory()
    where = choose_device(device)
    dtype = mixed_precision(where)
    preprocessing = replace(pack.preprocessing, input_slices=recipe.input_slices, size_multiple=2**recipe.depth)
    data = DeviceData(pack, pack.of_split(recipe.train_split), preprocessing, where)
    torch.manual_seed(recipe.seed)
    classes = len(pack.structures) + 1
    network, average = (
        UNet(recipe.input_slices, classes, recipe.base_width, recipe.depth).to(where, memory_format=torch.channels_last)
        for _ in range(2)
    )
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    scaler = torch.amp.GradScaler(where.type, enabled=dtype == torch.float16)
    loss_of = make_loss(recipe.loss)
    state = RunState(
        run, recipe, pack, {"network": network, "average": average, "optimiser": optimiser, "scaler": scaler}
    )
    first_step = state.resume()
    log = RunLog(run, [structure.name for structure in pack.structures])
    losses, started = [], time.perf_counter()
    for step in range(first_step, recipe.steps):
        network.train()
        rate = recipe.learning_rate * schedule(step, recipe)
        for group in optimiser.param_groups:
            group["lr"] = rate
        generator = Generator(where).manual_seed(recipe.seed * 1_000_003 + step)
        images, labels = data.draw(recipe, generator)  # (B, input slices, H, W) float32, (B, H, W) uint8
        images, targets = augment(images, labels, recipe.patch, recipe.augmentation, generator)
        with torch.autocast(where.type, dtype, enabled=dtype != torch.float32):
            logits = network(images.contiguous(memory_format=torch.channels_last))  # (B, classes, *patch)
        loss = loss_of(logits.float(), targets)
        optimiser.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimiser)
        nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)
        scaler.step(optimiser)
        scaler.update()
        update_average(average, network, min(recipe.ema, (1 + step) / (10 + step)))

        losses.append(loss.detach())
        done, last = step + 1, step + 1 == recipe.steps
        if done % CHECK_EVERY == 0 or last:
            mean_loss = float(torch.stack(losses[-CHECK_EVERY:]).mean())
            if not math.isfinite(mean_loss):
                raise InputError(
                    f"The loss became {mean_loss} by step {done}; lower the learning rate and start again."
                )
            if watch:
                pace = (time.perf_counter() - started) / (done - first_step)
                left = pace * (recipe.steps - done)
                watch(Progress(done, recipe.steps, mean_loss, recipe.batch_size / pace, left, state.mean_dice))
        if done % validate_every == 0 or last:
            state.dice = validate(average, pack, recipe, preprocessing, where, dtype)
            log.write(done, float(torch.stack(losses).mean()), rate, state.dice)
            losses.clear()
        if done % save_every == 0 or last:
            state.save(done, (time.perf_counter() - started) / 60)
    card = training_card(
        pack, recipe, preprocessing, title, f"{where.type} ({str(dtype).removeprefix('torch.')})", state
    )
    save_checkpoint(run / "checkpoint.pt", card, average.state_dict())
    return run / "checkpoint.pt"


def schedule(step: int, recipe: Recipe) -> float:
    """Factor of the learning rate: linear warm-up, then half a cosine down to 0 (Loshchilov and Hutter, SGDR, 2017)."""
    warmup = max(1, round(recipe.warmup_share * recipe.steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, recipe.steps - warmup)))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and batch statistics: average = decay * average + (1 - decay) * network."""
    for kept, now in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(now, 1 - decay)
        else:
            kept.copy_(now)


def mixed_precision(device: torch.device) -> torch.dtype:
    """The precision of the forward pass: bfloat16 where the hardware has it, float16 on older GPUs, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and torch.backends.cpu.get_cpu_capability().startswith("AVX512") and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware; elsewhere it is emulated and slower than float32."""
    try:
        return "avx512_bf16" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
