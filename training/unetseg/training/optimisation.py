"""What changes the weights: learning-rate schedule, gradients in micro-batches, AdamW, and the moving average."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint
from UNetSegmenterLib.engine.model.network import UNet
from UNetSegmenterLib.engine.plain_data import did_you_mean

from ..data.preprocessed_dataset import PreprocessedDataset
from .configuration import TrainingConfig
from .distributed import ProcessGroup
from .fine_tuning import fitting_weights
from .losses import make_loss, over_levels

SUPERVISED_LEVELS = 4  # of deep supervision: to an eighth of the resolution

# Factor of the learning rate after a fraction (0 to 1) of the steps that follow the warm-up.
SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda fraction: 0.5 * (1 + math.cos(math.pi * fraction)),  # Loshchilov and Hutter, SGDR, ICLR 2017
    "polynomial": lambda fraction: (1 - fraction) ** 0.9,  # nnU-Net's; Isensee et al., Nature Methods 2021
    "constant": lambda fraction: 1.0,
}


def schedule(step: int, config: TrainingConfig) -> float:
    """Factor of the learning rate at a step: a linear warm-up, then down by one of `SCHEDULES`.

    Raises:
        InputError: the configuration's schedule is not known.
    """
    if config.schedule not in SCHEDULES:
        raise InputError(f'The schedule "{config.schedule}" is not known; {did_you_mean(config.schedule, SCHEDULES)}')
    warmup = max(1, round(config.warmup_fraction * config.steps))
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[config.schedule]((step - warmup) / max(1, config.steps - warmup))


class Learner:
    """The network that learns, the moving average of its weights, and what a training step changes.

    Args:
        config: the training configuration.
        dataset: what is trained on; its structures are the network's classes.
        process_group: the processes that share each batch.
        start_from: the checkpoint whose weights the run begins with, or None for random ones.
        dtype: what the network computes in; None for the choice by the hardware. Weights, loss and optimiser are float32.
    """

    def __init__(
        self,
        config: TrainingConfig,
        dataset: PreprocessedDataset,
        process_group: ProcessGroup,
        start_from: Checkpoint | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        device = process_group.device
        self.config = config
        self.process_group = process_group
        self.dtype = dtype or process_group.precision()
        self.network, self.average = make_networks(config, dataset, device, start_from)
        self.supervised = SupervisedNetwork(self.network, config, len(dataset.structures) + 1).to(device)
        self.optimiser = make_optimiser(self.supervised, config, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.loss_of = over_levels(make_loss(config.loss, dataset.has_ignored))
        self.model = process_group.wrap(self.supervised)
        self.micro_batches = 1
        self.learning_rate = 0.0

    def saved_parts(self) -> dict[str, Any]:
        """What a run must save to go on with the same weights, by name; each has state_dict and load_state_dict."""
        parts = {"network": self.network, "average": self.average, "optimiser": self.optimiser, "scaler": self.scaler}
        return parts | ({"heads": self.supervised.heads} if self.config.deep_supervision else {})

    def step(self, step: int, images: Tensor, targets: Tensor) -> Tensor:
        """Update the weights and their average by one batch, and return its loss without waiting for the device.

        Args:
            step: number of the step, from 0.
            images: (B, input slices, H, W) float32 in -1..1.
            targets: (B, H, W) int64.

        Raises:
            InputError: the device has not the memory for a single slice.
        """
        self.learning_rate = self.config.learning_rate * schedule(step, self.config)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        while (loss := self.accumulate_gradients(images, targets)) is None:
            self.micro_batches = more_micro_batches(self.micro_batches, len(images), self.process_group)
            self.optimiser.zero_grad(set_to_none=True)
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.supervised.parameters(), self.config.gradient_norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        update_average(self.average, self.network, min(self.config.ema, (1 + step) / (10 + step)))
        return loss

    def accumulate_gradients(self, images: Tensor, targets: Tensor) -> Tensor | None:
        """Loss of a batch, with its gradients added to the parameters; None if the device has not the memory for it.

        The batch goes through the network in micro-batches one after another, so that fewer slices are in memory at a time;
        the loss of the batch is then the mean over its micro-batches.

        Args:
            images: (B, input slices, H, W).
            targets: (B, H, W).
        """
        total = torch.zeros((), device=images.device)
        micro_batches = zip(images.chunk(self.micro_batches), targets.chunk(self.micro_batches), strict=True)
        try:
            for micro_images, micro_targets in micro_batches:
                with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
                    levels = self.model(micro_images.contiguous(memory_format=torch.channels_last))
                loss = self.loss_of([logits.float() for logits in levels], micro_targets)
                loss = loss * (len(micro_images) / len(images))
                self.process_group.backward(self.scaler.scale(loss))
                total += loss.detach()
        except torch.OutOfMemoryError:
            return None
        return total


class SupervisedNetwork(nn.Module):
    """The network with the extra heads of deep supervision, which are trained with it and left behind in the run.

    Coarser levels of the decoder get a 1x1 convolution each, so that they learn from the labels directly (Lee et al.,
    "Deeply-Supervised Nets", AISTATS 2015).

    Args:
        network: the network that learns.
        config: the training configuration.
        classes: structures and background.
    """

    def __init__(self, network: UNet, config: TrainingConfig, classes: int) -> None:
        super().__init__()
        self.network = network
        coarser = range(1, min(config.depth, SUPERVISED_LEVELS) if config.deep_supervision else 1)
        self.heads = nn.ModuleList(nn.Conv2d(network.widths[level], classes, kernel_size=1) for level in coarser)

    def forward(self, slices: Tensor) -> list[Tensor]:
        """Logits (B, classes, H / 2**level, W / 2**level) of level 0 and of the supervised coarser ones."""
        features = list(self.network.decode(slices))
        return [
            self.network.exit(features[-1]),
            *(head(features[-1 - level]) for level, head in enumerate(self.heads, start=1)),
        ]


def make_networks(
    config: TrainingConfig, dataset: PreprocessedDataset, device: torch.device, start_from: Checkpoint | None = None
) -> tuple[UNet, UNet]:
    """The network that learns and its moving average, equal at the start: random by the seed, or the checkpoint's weights."""
    torch.manual_seed(config.seed)
    classes = len(dataset.structures) + 1
    network, average = (
        UNet(config.input_slices, classes, config.base_width, config.depth, config.skip_connections)
        .to(device)
        .to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in range(2)
    )
    if start_from is not None:
        network.load_state_dict(fitting_weights(start_from, config, dataset))
    average.load_state_dict(network.state_dict())
    return network, average


def make_optimiser(network: nn.Module, config: TrainingConfig, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019); on a GPU in one kernel for all parameters, not one for each."""
    rate, decay, fused = config.learning_rate, config.weight_decay, device.type == "cuda"
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=fused)


def more_micro_batches(micro_batches: int, slices: int, process_group: ProcessGroup) -> int:
    """Twice as many micro-batches for a batch of `slices`, with a warning.

    Raises:
        InputError: a single slice does not fit, or other processes would wait for this one forever.
    """
    if micro_batches >= slices or process_group.world_size > 1:
        what = "One slice does" if micro_batches >= slices else f"{slices} slices per process do"
        raise InputError(
            f"{what} not fit into the memory of {process_group.device}; take a smaller batch_size, patch or base_width"
            + (", or more devices." if process_group.world_size > 1 and micro_batches < slices else ".")
        )
    if process_group.device.type == "cuda":
        torch.cuda.empty_cache()
    micro_batches = min(2 * micro_batches, slices)
    logging.getLogger(__name__).warning(
        "Out of memory on %s: going on with %d slices at a time and their gradients added up",
        process_group.device,
        -(-slices // micro_batches),
    )
    return micro_batches


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and batch statistics: average = decay * average + (1 - decay) * network."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    kept, now = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(kept, now, 1 - decay)  # all at once, as torch.optim.swa_utils does: a launch each takes longer
    counters, counts = zip(*(pair for pair in pairs if not pair[0].is_floating_point()), strict=True)
    torch._foreach_copy_(counters, counts)
