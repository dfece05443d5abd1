"""The training loop: the pack lives on the device, batches are drawn and augmented there, one page from top to bottom."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.model.card import NetworkShape
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.device import choose_device, keep_freed_memory
from UNetSegmenterLib.engine.model.network import UNet

from ..data.preprocessed_dataset import Pack
from .augmentation import augment
from .configuration import Recipe
from .device_data import DeviceData
from .distributed import Team
from .losses import Loss, make_loss
from .run_files import RunLog, RunState, training_card
from .run_lock import Stopped, StopSignals, only_run
from .schedules import schedule
from .validation import validate, validation_cases

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

    @classmethod
    def after(cls, step: int, recipe: Recipe, loss: float, seconds_a_step: float, dice: float | None) -> Progress:
        """Progress when `step` steps are done, at the pace so far."""
        left = seconds_a_step * (recipe.steps - step)
        return cls(step, recipe.steps, loss, recipe.batch_size / seconds_a_step, left, dice)


def train(
    pack: Pack,
    run: Path,
    recipe: Recipe,
    device: str = "auto",
    title: str = "",
    validate_every: int = 500,
    save_every: int = 500,
    watch: Callable[[Progress], None] | None = None,
    team: Team | None = None,
    start_from: Checkpoint | None = None,
) -> Path:
    """Train, or go on where `run` stopped, and return RUN/checkpoint.pt.

    Beside it lie state.pt (to resume from), metrics.csv and TensorBoard's events. The batch of every step is drawn from the
    seed and the step alone, so a run that was interrupted ends with the weights of one that was not. `team` is what
    `make_team` gives for several devices, `start_from` a checkpoint whose weights the run begins with. Raises InputError if
    another run has the folder, if it holds a run of another recipe or pack, or if the loss is no longer a number; raises
    Stopped after a signal to stop, with all saved.
    """
    validation_cases(pack, recipe)  # a split that there is not is refused now rather than at the first validation
    team = team or Team(choose_device(device))
    if not team.leads:
        return _train(pack, run, recipe, title, validate_every, save_every, None, team, start_from)
    with only_run(run):
        return _train(pack, run, recipe, title, validate_every, save_every, watch, team, start_from)


def _train(
    pack: Pack,
    run: Path,
    recipe: Recipe,
    title: str,
    validate_every: int,
    save_every: int,
    watch: Callable[[Progress], None] | None,
    team: Team,
    start_from: Checkpoint | None,
) -> Path:
    keep_freed_memory()
    where = team.device
    dtype = team.precision()
    preprocessing = replace(pack.preprocessing, input_slices=recipe.input_slices, size_multiple=2**recipe.depth)
    data = DeviceData(pack, pack.of_split(recipe.train_split), preprocessing, where)
    network, average = networks(recipe, pack, where, start_from)
    optimiser = make_optimiser(network, recipe, where)
    scaler = torch.amp.GradScaler(where.type, enabled=dtype == torch.float16)
    loss_of = make_loss(recipe.loss)
    parts = {"network": network, "average": average, "optimiser": optimiser, "scaler": scaler}
    state = RunState(run, recipe, pack, parts, start_from)
    first_step = state.resume()
    log = RunLog(run, [structure.name for structure in pack.structures], first_step) if team.leads else None
    model = team.wrap(network)
    losses, pieces, started = [], 1, time.perf_counter()
    with StopSignals() as stop:
        for step in range(first_step, recipe.steps):
            network.train()
            rate = recipe.learning_rate * schedule(step, recipe)
            for group in optimiser.param_groups:
                group["lr"] = rate
            generator = step_generator(recipe, step, where)
            drawn = data.draw(recipe, generator)  # (B, input slices, H, W) float32, (B, H, W) uint8 and (B, 2)
            images, labels, centres = team.share(*drawn)
            images, targets = augment(images, labels, recipe.patch, recipe.augmentation, team.own(generator), centres)
            optimiser.zero_grad(set_to_none=True)
            while (loss := gradients(model, loss_of, images, targets, pieces, dtype, scaler, team)) is None:
                pieces = more_pieces(pieces, len(images), team)
                optimiser.zero_grad(set_to_none=True)
            scaler.unscale_(optimiser)
            nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_norm)
            scaler.step(optimiser)
            scaler.update()
            update_average(average, network, min(recipe.ema, (1 + step) / (10 + step)))

            losses.append(loss)
            done, last = step + 1, step + 1 == recipe.steps
            validates, saves = (done % every == 0 or last for every in (validate_every, save_every))
            looks = done % CHECK_EVERY == 0 or validates or saves
            stops = team.agree(bool(stop.asked), looks) and not last
            if looks or stops:
                recent = torch.stack(losses[-CHECK_EVERY:]).tolist()
                check_losses(recent, step, network, run, recipe, data)
                if watch:
                    seconds = (time.perf_counter() - started) / (done - first_step)
                    watch(Progress.after(done, recipe, sum(recent) / len(recent), seconds, state.mean_dice))
            if validates:
                team.same(average)
                state.dice = validate(average, pack, recipe, preprocessing, where, dtype, team)
                if log:
                    log.write(done, float(torch.stack(losses).mean()), rate, state.dice)
                losses.clear()
            if (saves or stops) and team.leads:
                state.save(done, (time.perf_counter() - started) / 60)
            if stops:
                team.wait()
                raise Stopped(done, stop.asked)
    if team.leads:
        device = f"{where.type} ({str(dtype).removeprefix('torch.')})" + (f" x {team.size}" if team.size > 1 else "")
        card = training_card(pack, recipe, preprocessing, title, device, state)
        save_checkpoint(run / "checkpoint.pt", card, average.state_dict())
    team.wait()
    return run / "checkpoint.pt"


def networks(recipe: Recipe, pack: Pack, device: torch.device, start_from: Checkpoint | None) -> tuple[UNet, UNet]:
    """The network that learns and the one that holds its average, equal at the start: random by the seed, or given weights."""
    torch.manual_seed(recipe.seed)
    classes = len(pack.structures) + 1
    network, average = (
        UNet(recipe.input_slices, classes, recipe.base_width, recipe.depth)
        .to(device)
        .to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for _ in range(2)
    )
    if start_from is not None:
        network.load_state_dict(fitting_weights(start_from, recipe, pack))
    average.load_state_dict(network.state_dict())
    return network, average


def make_optimiser(network: nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019); on a GPU in one kernel for all parameters, not one for each."""
    rate, decay, fused = recipe.learning_rate, recipe.weight_decay, device.type == "cuda"
    return torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=fused)


def fitting_weights(start_from: Checkpoint, recipe: Recipe, pack: Pack) -> dict[str, Tensor]:
    """Weights to begin with; raises InputError if the checkpoint has another network or other structures."""
    wanted = NetworkShape(recipe.input_slices, len(pack.structures) + 1, recipe.base_width, recipe.depth)
    names = [[structure.name for structure in part.structures] for part in (start_from.card, pack)]
    before, now = asdict(start_from.card.network), asdict(wanted)
    found = [
        f"{name.replace('_', ' ')} {before[name]}, not {value}" for name, value in now.items() if before[name] != value
    ]
    if names[0] != names[1]:
        found.append(f"the structures {', '.join(names[0])}, not {', '.join(names[1])}")
    if found:
        raise InputError(
            f"{start_from.path} has {'; '.join(found)}; start from a checkpoint of the same network and structures, in the "
            "same order, or give this run its options."
        )
    return start_from.weights


def step_generator(recipe: Recipe, step: int, device: torch.device) -> Generator:
    """What a step's batch and augmentation are drawn with."""
    return Generator(device).manual_seed(recipe.seed * 1_000_003 + step)


def gradients(
    model: nn.Module,
    loss_of: Loss,
    images: Tensor,
    targets: Tensor,
    pieces: int,
    dtype: torch.dtype,
    scaler: torch.amp.GradScaler,
    team: Team,
) -> Tensor | None:
    """Loss of a batch, with its gradients added to the parameters; None if the device has not the memory for it.

    images: (B, input slices, H, W); targets: (B, H, W). The batch goes through the network in `pieces` one after another, so
    that fewer slices are in memory at a time; a loss of the whole batch becomes the mean over its pieces then.
    """
    total = torch.zeros((), device=images.device)
    try:
        for part, wanted in zip(images.chunk(pieces), targets.chunk(pieces), strict=True):
            with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
                logits = model(part.contiguous(memory_format=torch.channels_last))  # (B, classes, H, W)
            loss = loss_of(logits.float(), wanted) * (len(part) / len(images))
            team.backward(scaler.scale(loss))
            total += loss.detach()
    except torch.OutOfMemoryError:
        return None
    return total


def more_pieces(pieces: int, slices: int, team: Team) -> int:
    """Twice as many pieces, said aloud; raises InputError if a single slice does not fit or others would wait forever."""
    if pieces >= slices or team.size > 1:
        what = "One slice does" if pieces >= slices else f"{slices} slices a process do"
        raise InputError(
            f"{what} not fit into the memory of {team.device}; take a smaller batch_size, patch or base_width."
        )
    if team.device.type == "cuda":
        torch.cuda.empty_cache()
    pieces = min(2 * pieces, slices)
    logging.getLogger(__name__).warning(
        "Out of memory on %s: going on with %d slices at a time and their gradients added up",
        team.device,
        -(-slices // pieces),
    )
    return pieces


def check_losses(
    recent: list[float], step: int, network: nn.Module, run: Path, recipe: Recipe, data: DeviceData
) -> None:
    """Raise InputError if one of the last steps' losses, or the weights after them, are no numbers.

    The batch of that step is written to RUN/failed_batch.json, so that its slices can be looked at.
    """
    weights = float(torch.stack([weight.detach().sum() for weight in network.parameters()]).sum())
    wrong = next((place for place, loss in enumerate(recent) if not math.isfinite(loss)), None)
    if wrong is None and math.isfinite(weights):
        return
    wrong = len(recent) - 1 if wrong is None else wrong
    failed = step - len(recent) + 1 + wrong
    cases = data.batch_cases(recipe, step_generator(recipe, failed, data.images.device))
    text = json.dumps({"step": failed + 1, "loss": str(recent[wrong]), "slices_of_cases": cases}, indent=1)
    write_text(run / "failed_batch.json", text)
    what = f"The loss became {recent[wrong]}" if not math.isfinite(recent[wrong]) else "The weights became no numbers"
    raise InputError(
        f"{what} at step {failed + 1}, on slices of {', '.join(cases)} "
        f"({run / 'failed_batch.json'} has their numbers); look at these cases or lower the learning rate. The states "
        "saved before it are kept."
    )


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and batch statistics: average = decay * average + (1 - decay) * network."""
    pairs = list(zip(average.state_dict().values(), network.state_dict().values(), strict=True))
    kept, now = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    torch._foreach_lerp_(kept, now, 1 - decay)  # all at once, as torch.optim.swa_utils does: a launch each takes longer
    counters, counts = zip(*(pair for pair in pairs if not pair[0].is_floating_point()), strict=True)
    torch._foreach_copy_(counters, counts)
