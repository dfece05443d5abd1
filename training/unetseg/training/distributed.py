"""One process, or several that share every batch: devices and nodes through Lightning Fabric."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.device import choose_device, mixed_precision

Item = TypeVar("Item")
STARTERS = {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "MASTER_ADDR"}  # torchrun, srun, or a person by hand
SEEDS_APART = 1_000_000_007  # of two processes: more than a run has steps, and within the 32 bits that a CPU looks at


class Team:
    """The processes of a run; with one of them every method does nothing but hand back what it got.

    All processes draw the same batch from seed and step, and each augments its share of the slices; gradients are averaged
    by DistributedDataParallel (Li et al., VLDB 2020). Batch statistics are each process's own.
    """

    def __init__(self, device: torch.device, fabric: Any = None) -> None:
        self.device = device
        self.fabric = fabric
        self.rank: int = fabric.global_rank if fabric else 0
        self.size: int = fabric.world_size if fabric else 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def precision(self) -> torch.dtype:
        """The precision of all processes: float16 in each where one GPU has no bfloat16, as its gradients are scaled."""
        dtype = mixed_precision(self.device)
        return torch.float16 if self.agree(dtype == torch.float16, due=True) else dtype

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is called in training, so that its gradients are those of all processes."""
        return self.fabric.setup_module(network, move_to_device=False) if self.fabric else network

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to the parameters."""
        if self.fabric:
            self.fabric.backward(loss)
        else:
            loss.backward()

    def share(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """This process's part of each tensor's first dimension."""
        return batch if self.size == 1 else tuple(part[self.rank :: self.size] for part in batch)

    def own(self, generator: Generator) -> Generator:
        """The generator of this process's augmentation: the others' slices shall not be turned by the same angles."""
        return generator.manual_seed(generator.initial_seed() + self.rank * SEEDS_APART) if self.rank else generator

    def agree(self, wish: bool, due: bool) -> bool:
        """Whether any process wishes it; several processes ask each other only when it is `due` for all of them."""
        if self.size == 1:
            return wish
        return due and bool(self.fabric.all_reduce(torch.tensor(float(wish), device=self.device), reduce_op="sum") > 0)

    def same(self, network: nn.Module) -> None:
        """Give every process the first one's weights and batch statistics."""
        if self.size > 1:
            for tensor in network.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    def map(self, function: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
        """Results for all items in their order; each process works on its share of them."""
        mine = [function(item) for item in items[self.rank :: self.size]]
        if self.size == 1:
            return mine
        everyone: list[Any] = [None] * self.size
        torch.distributed.all_gather_object(everyone, mine)
        return [everyone[place % self.size][place // self.size] for place in range(len(items))]

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.fabric:
            self.fabric.barrier()


def make_team(device: str = "auto", devices: int = 1, nodes: int = 1, strategy: str = "ddp") -> Team:
    """Start the processes of a run, or find this one's place among those that torchrun or srun started.

    devices: processes a node (GPUs, or CPU processes where `device` is "cpu"). Raises InputError if they are not there.
    """
    chosen = choose_device(device)
    if devices * nodes == 1:
        return Team(chosen)
    if nodes > 1 and not STARTERS & set(os.environ):
        raise InputError(
            f"{nodes} nodes were asked for, but nobody started a process on each; start the command on every node with "
            f"torchrun --nnodes {nodes} --nproc-per-node {devices}, as docs/cluster.md shows."
        )
    if devices < 1 or nodes < 1:
        raise InputError(f"{devices} devices on {nodes} nodes were asked for; at least 1 of each is expected.")
    if chosen.type == "cuda" and devices > torch.cuda.device_count():
        raise InputError(f"{devices} devices a node were asked for, but {torch.cuda.device_count()} GPU(s) are here.")
    if chosen.type == "mps":
        raise InputError("Several processes can't share an Apple GPU; take --devices 1, or --device cpu.")
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError(
            'Several devices need Lightning Fabric, which is not installed; it comes with: pip install "unetsegmenter[training]"'
        ) from error
    try:
        fabric = Fabric(accelerator=chosen.type, devices=devices, num_nodes=nodes, strategy=strategy)
    except (ValueError, TypeError) as error:
        raise InputError(
            f'The strategy "{strategy}" can\'t be used ({str(error).splitlines()[0]}); ddp can.'
        ) from error
    fabric.launch()
    atexit.register(_part)
    return Team(fabric.device, fabric)


def _part() -> None:
    """Leave the others in good order: gloo's threads abort a process that ends while they run."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
