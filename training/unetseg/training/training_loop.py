"""The training loop: slices live on the device, batches are sampled and augmented there, one page from top to bottom."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.io.atomic_files import write_text
from UNetSegmenterLib.engine.model.checkpoint import Checkpoint, save_checkpoint
from UNetSegmenterLib.engine.model.device import choose_device, has_in_hardware, keep_freed_memory, precision_name
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing

from ..data.preprocessed_dataset import PreprocessedDataset
from .augmentation import augment
from .configuration import TrainingConfig
from .device_data import DeviceData
from .device_memory import memory_for_slices
from .distributed import ProcessGroup
from .optimisation import Learner
from .run_lock import Stopped, StopSignals, run_lock
from .training_card import training_card
from .training_log import TrainingLog
from .training_state import TrainingState
from .validation import validate, validation_cases

CHECK_EVERY = 10  # steps between checks of the loss: reading it makes a GPU wait


@dataclass(frozen=True)
class TrainingProgress:
    """How far a run is; `loss` is the mean of the last steps, `dice` the mean of the last validation."""

    step: int
    steps: int
    loss: float
    slices_per_second: float
    seconds_left: float
    dice: float | None


def train(
    dataset: PreprocessedDataset,
    run: Path,
    config: TrainingConfig,
    device: str = "auto",
    *,
    title: str = "",
    validate_every: int = 500,
    save_every: int = 500,
    watch: Callable[[TrainingProgress], None] | None = None,
    process_group: ProcessGroup | None = None,
    start_from: Checkpoint | None = None,
    precision: str = "auto",
    device_memory_gb: float | None = None,
    may_extend: bool = False,
    on_start: Callable[[TrainingState], None] | None = None,
) -> Path:
    """Train, or go on where `run` stopped, and return RUN/checkpoint.pt.

    Beside it are state.pt (to resume from), metrics.csv and TensorBoard's events. The batch of every step follows from the
    seed and the step alone, so a run that was interrupted ends with the same weights as one that was not.

    Args:
        dataset: the preprocessed data set to train on.
        run: folder of the run.
        config: the training configuration.
        device: auto, cpu, cuda, cuda:1 or mps; unused where a process group is given.
        title: name of the checkpoint; the data set's name if empty.
        validate_every: steps between validations.
        save_every: steps between saved states.
        watch: called with the progress every few steps, in the main process.
        process_group: what `start_process_group` returned, for several devices.
        start_from: checkpoint whose weights the run begins with.
        precision: what the network computes in, see `ProcessGroup.precision`.
        device_memory_gb: memory of the device for slices; where they need more, the others are read while it computes, and
            the weights are the same. None for what is free beside a training step.
        may_extend: whether a run may get another number of steps than it began with.
        on_start: called in the main process with the state to go on from, before the first step.

    Raises:
        InputError: another run has the folder, the folder holds a run of another configuration or data set, or the loss
            is no longer a number.
        Stopped: a signal asked the run to stop; everything is saved.
    """
    validation_cases(dataset, config)  # a split that does not exist is refused now, not at the first validation
    process_group = process_group or ProcessGroup(choose_device(device))
    main_process = process_group.is_main_process
    with process_group.all_end(done=True), run_lock(run) if main_process else nullcontext():
        return _train(
            dataset,
            run,
            config,
            title=title,
            validate_every=validate_every,
            save_every=save_every,
            watch=watch if main_process else None,
            process_group=process_group,
            start_from=start_from,
            precision=precision,
            device_memory_gb=device_memory_gb,
            may_extend=may_extend,
            on_start=on_start if main_process else None,
        )


def _train(
    dataset: PreprocessedDataset,
    run: Path,
    config: TrainingConfig,
    *,
    title: str,
    validate_every: int,
    save_every: int,
    watch: Callable[[TrainingProgress], None] | None,
    process_group: ProcessGroup,
    start_from: Checkpoint | None,
    precision: str,
    device_memory_gb: float | None,
    may_extend: bool,
    on_start: Callable[[TrainingState], None] | None,
) -> Path:
    keep_freed_memory()
    torch.backends.cudnn.deterministic = True  # else gradients are added up in any order, and no run repeats another
    main_process = process_group.is_main_process
    preprocessing = replace(dataset.preprocessing, input_slices=config.input_slices, size_multiple=2**config.depth)
    data = _device_data(dataset, config, preprocessing, process_group, device_memory_gb)
    state = TrainingState(run, config, dataset, start_from, may_extend=may_extend)
    dtype = choose_precision(precision, state, process_group)
    learner = Learner(config, dataset, process_group, start_from, dtype)
    first_step = state.resume(learner.saved_parts(), dtype)
    if on_start:
        on_start(state)
    log = TrainingLog(run, [structure.name for structure in dataset.structures], first_step) if main_process else None
    losses = state.losses = [loss.to(process_group.device) for loss in state.losses]
    started = time.perf_counter()
    with StopSignals() as signals, closing(data):
        for step in range(first_step, config.steps):
            losses.append(learner.step(step, *next_batch(data, config, step, process_group)))

            done, last = step + 1, step + 1 == config.steps
            validates, saves = (done % every == 0 or last for every in (validate_every, save_every))
            checks = done % CHECK_EVERY == 0 or validates or saves
            stops = process_group.any_process(bool(signals.received), checks) and not last
            if checks or stops:
                recent = torch.stack(losses[-CHECK_EVERY:]).tolist()
                check_losses(recent, step, (learner.network, learner.average), run, config, data)
                if watch:
                    seconds_per_step = (time.perf_counter() - started) / (done - first_step)
                    watch(_progress(done, config, sum(recent) / len(recent), seconds_per_step, state.mean_dice))
            if validates:
                process_group.broadcast(learner.average)
                state.dice = validate(learner.average, dataset, config, preprocessing, learner.dtype, process_group)
                if log:
                    log.write(done, float(torch.stack(losses).mean()), learner.learning_rate, state.dice)
                losses.clear()
            if (saves or stops) and main_process:
                state.save(done, (time.perf_counter() - started) / 60)
            if stops:
                received = process_group.map(lambda _: signals.received, range(process_group.world_size))
                raise Stopped(done, next(filter(None, received)))  # which one of the processes may have got alone
    if main_process:
        card = training_card(dataset, config, preprocessing, title, _device_text(learner), state)
        save_checkpoint(run / "checkpoint.pt", card, learner.average.state_dict())
    process_group.barrier()
    return run / "checkpoint.pt"


def choose_precision(wanted: str, state: TrainingState, process_group: ProcessGroup) -> torch.dtype:
    """What the network computes in, with a warning where that is slow, or where a run goes on in another precision."""
    dtype = process_group.precision(wanted, state.precision)
    if not process_group.is_main_process:
        return dtype
    name, device = precision_name(dtype), process_group.device
    if not has_in_hardware(dtype, device):
        logging.warning("%s is not in the hardware of %s, so it is slower than float32", name, device)
    if state.precision not in (None, dtype):
        before = precision_name(state.precision)
        logging.warning(
            "the run goes on in %s from step %d; it was trained in %s before, so its weights will not be those of a run "
            "without a break (--precision %s, on a device that has it, keeps to it)",
            name,
            state.step,
            before,
            before,
        )
    return dtype


def _device_data(
    dataset: PreprocessedDataset,
    config: TrainingConfig,
    preprocessing: Preprocessing,
    process_group: ProcessGroup,
    device_memory_gb: float | None,
) -> DeviceData:
    """The slices to train on; the log says so if the device keeps only some of them."""
    data = DeviceData(
        dataset,
        dataset.of_split(config.train_split),
        preprocessing,
        process_group.device,
        memory_for_slices(config, process_group, device_memory_gb),
        process_group.part,
    )
    if data.exchange and process_group.is_main_process:
        logging.getLogger(__name__).warning("%s", data.exchange_text())
    return data


def next_batch(
    data: DeviceData, config: TrainingConfig, step: int, process_group: ProcessGroup
) -> tuple[Tensor, Tensor]:
    """This process's part of a step's batch, augmented.

    Returns:
        Images (B, input slices, *patch) float32 in -1..1 and targets (B, *patch) int64.
    """
    generator = step_generator(config, step, process_group.device)
    images, labels, centres = data.sample_batch(config, generator)
    generator = process_group.own_generator(generator)
    return augment(images, labels, config.patch, config.augmentation, generator, centres)


def step_generator(config: TrainingConfig, step: int, device: torch.device) -> Generator:
    """The random generator of a step's batch and augmentation, seeded by the run's seed and the step alone."""
    return Generator(device).manual_seed(config.seed * 1_000_003 + step)


def check_losses(
    recent: list[float], step: int, networks: Sequence[nn.Module], run: Path, config: TrainingConfig, data: DeviceData
) -> None:
    """Check that the last steps' losses, and weights and batch statistics after them, are finite numbers.

    The batch of a failed step is written to RUN/failed_batch.json, so that its slices can be looked at.

    Args:
        recent: losses of the last steps, up to and including `step`.
        step: the last step, from 0.
        networks: the network that learns, and its moving average.
        run: folder of the run.
        config: the training configuration.
        data: the slices that batches are sampled from.

    Raises:
        InputError: a loss or a weight is infinite or no number.
    """
    tensors = [tensor for network in networks for tensor in network.state_dict().values() if tensor.is_floating_point()]
    largest = float(
        torch.stack(torch._foreach_norm(tensors, math.inf)).sum()
    )  # all at once: a launch each takes longer
    wrong = next((i for i, loss in enumerate(recent) if not math.isfinite(loss)), None)
    if wrong is None and math.isfinite(largest):
        return
    wrong = len(recent) - 1 if wrong is None else wrong
    failed = step - len(recent) + 1 + wrong
    cases = data.batch_cases(config, step_generator(config, failed, data.device))
    text = json.dumps({"step": failed + 1, "loss": str(recent[wrong]), "slices_of_cases": cases}, indent=1)
    write_text(run / "failed_batch.json", text)
    what = f"The loss became {recent[wrong]}" if not math.isfinite(recent[wrong]) else "The weights became no numbers"
    raise InputError(
        f"{what} at step {failed + 1}, on slices of {', '.join(cases)} "
        f"({run / 'failed_batch.json'} has their numbers); look at these cases or lower the learning rate. The states "
        "saved before it are kept."
    )


def _progress(
    done: int, config: TrainingConfig, loss: float, seconds_per_step: float, dice: float | None
) -> TrainingProgress:
    """Progress when `done` steps are done, at the pace so far."""
    seconds_left = seconds_per_step * (config.steps - done)
    return TrainingProgress(done, config.steps, loss, config.batch_size / seconds_per_step, seconds_left, dice)


def _device_text(learner: Learner) -> str:
    """Device, precision and number of processes, as the card keeps them."""
    processes, dtype = learner.process_group.world_size, precision_name(learner.dtype)
    text = f"{learner.process_group.device.type} ({dtype})"
    return text + (f" x {processes}" if processes > 1 else "")
