"""One process, or several that share every batch: devices and nodes through Lightning Fabric."""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Generator, Tensor, nn
from torch.distributed import TCPStore
from UNetSegmenterLib.engine.errors import InputError
from UNetSegmenterLib.engine.model.device import choose_device, has_in_hardware, mixed_precision

from ..stop_signals import STARTED_BY, Terminated
from .failure_watch import FailureWatch

Item = TypeVar("Item")
LAUNCHER_VARIABLES = {"TORCHELASTIC_RUN_ID", "SLURM_NTASKS", "MASTER_ADDR"}  # set by torchrun, by srun, or by hand
LOOPBACK = "127.0.0.1"
INTERFACE_VARIABLES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # on which processes exchange what they computed
RANK_SEED_OFFSET = 1_000_000_007  # more than a run has steps, and within the 32 bits that a CPU generator uses


class ProcessGroup:
    """The processes of a run; with a single process every method returns what it was given.

    All processes sample the same batch from seed and step, and each augments its own part of the slices; gradients are
    averaged by DistributedDataParallel (Li et al., VLDB 2020). Batch statistics are each process's own.

    Args:
        device: the device of this process.
        fabric: a launched `lightning_fabric.Fabric`, or None for a single process.
        watch: ends all processes where one fails; None for a single process.
        meeting_point: a store that must live as long as the processes do, or None.
    """

    def __init__(
        self, device: torch.device, fabric: Any = None, watch: FailureWatch | None = None, meeting_point: Any = None
    ) -> None:
        self.device = device
        self.fabric = fabric
        self.watch = watch
        self.meeting_point = meeting_point
        self.rank: int = fabric.global_rank if fabric else 0
        self.world_size: int = fabric.world_size if fabric else 1

    @property
    def is_main_process(self) -> bool:
        """Whether this is rank 0, the process that writes files and reports progress."""
        return self.rank == 0

    def precision(self, wanted: str = "auto", before: torch.dtype | None = None) -> torch.dtype:
        """The precision of all processes: float16 in each where one GPU has no bfloat16, as its gradients are scaled.

        Args:
            wanted: float32, bfloat16, float16, or auto for the choice by the hardware.
            before: what the state to go on from was computed in; auto keeps it where every device has it.

        Raises:
            InputError: an Apple GPU, on which only float32 was tried, is to train in another precision.
        """
        if wanted != "auto":
            dtype: torch.dtype = getattr(torch, wanted)
            if self.device.type == "mps" and dtype != torch.float32:
                raise InputError(f"An Apple GPU trains in float32, not in {wanted}; leave --precision out.")
            return dtype
        if before is not None and not self.any_process(not has_in_hardware(before, self.device), due=True):
            return before
        own = mixed_precision(self.device)
        return next((one for one in (torch.float16, torch.float32) if self.any_process(own == one, due=True)), own)

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it is called in training, so that its gradients are averaged over all processes."""
        if not self.fabric:
            return network
        # The weights of a 1x1 convolution lie in memory in both layouts at once, and torch can't tell which one is meant.
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        return self.fabric.setup_module(network, move_to_device=False)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` to the parameters."""
        if self.fabric:
            self.fabric.backward(loss)
        else:
            loss.backward()

    @property
    def part(self) -> slice:
        """This process's part of a batch."""
        return slice(self.rank, None, self.world_size)

    def own_generator(self, generator: Generator) -> Generator:
        """The generator of this process's augmentation, seeded by rank so that processes do not repeat each other's angles."""
        return (
            generator.manual_seed(generator.initial_seed() + self.rank * RANK_SEED_OFFSET) if self.rank else generator
        )

    def any_process(self, value: bool, due: bool) -> bool:
        """Whether `value` holds in any process; several processes ask each other only when it is `due` for all of them."""
        if self.world_size == 1:
            return value
        return due and bool(self.fabric.all_reduce(torch.tensor(float(value), device=self.device), reduce_op="sum") > 0)

    def broadcast(self, network: nn.Module) -> None:
        """Give every process the weights and batch statistics of rank 0."""
        if self.world_size > 1:
            for tensor in network.state_dict().values():
                torch.distributed.broadcast(tensor, src=0)

    def map(self, function: Callable[[Item], Any], items: Sequence[Item]) -> list[Any]:
        """Results for all items in their order; each process works on its own part of them."""
        own = [function(item) for item in items[self.rank :: self.world_size]]
        if self.world_size == 1:
            return own
        gathered: list[Any] = [None] * self.world_size
        torch.distributed.all_gather_object(gathered, own)
        return [gathered[i % self.world_size][i // self.world_size] for i in range(len(items))]

    def barrier(self) -> None:
        """Wait until every process has come here."""
        if self.fabric:
            self.fabric.barrier()

    @contextmanager
    def all_end(self, *, done: bool = False) -> Iterator[None]:
        """End all processes where the work inside fails in one of them; after it, if `done`, each ends when it likes."""
        if self.watch is None:
            yield
            return
        children = _children(self.fabric)
        try:
            with self.watch.all_end():
                try:
                    yield
                except (KeyboardInterrupt, Terminated):  # the children leave signals to this process
                    if children:
                        self.watch.close()
                        _end(children)
                    raise
        except BaseException:
            children.clear()  # Fabric's observer of them kills this process where one has ended with another status than 0
            raise
        if done:
            self.watch.close()


def start_process_group(device: str = "auto", devices: int = 1, nodes: int = 1, strategy: str = "ddp") -> ProcessGroup:
    """Start the processes of a run, or join those that torchrun or srun started.

    Args:
        device: auto, cpu, cuda, cuda:1 or mps.
        devices: processes per node (GPUs, or CPU processes where `device` is "cpu").
        nodes: machines.
        strategy: Lightning Fabric's name of the strategy.

    Raises:
        InputError: the devices or nodes are not available, or Lightning Fabric is not installed.
    """
    chosen = choose_device(device)
    if devices * nodes == 1:
        return ProcessGroup(chosen)
    if nodes > 1 and not LAUNCHER_VARIABLES & set(os.environ):
        raise InputError(
            f"{nodes} nodes were asked for, but no process was started on each of them; start the command on every node with "
            f"torchrun --nnodes {nodes} --nproc-per-node {devices}, as docs/cluster.md shows."
        )
    if devices < 1 or nodes < 1:
        raise InputError(f"{devices} devices on {nodes} nodes were asked for; at least 1 of each is expected.")
    if chosen.type == "cuda" and devices > torch.cuda.device_count():
        raise InputError(f"{devices} devices per node were asked for, but {torch.cuda.device_count()} GPU(s) are here.")
    if chosen.type == "mps":
        raise InputError("Several processes can't share an Apple GPU; take --devices 1, or --device cpu.")
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError(
            'Several devices need Lightning Fabric, which is not installed; it comes with: pip install "unetsegmenter[training]"'
        ) from error
    try:
        with warnings.catch_warnings():
            # Where srun is installed, Lightning recommends it; Fabric starts the processes itself.
            warnings.filterwarnings("ignore", "The `srun` command is available", module="lightning_fabric")
            fabric = Fabric(accelerator=chosen.type, devices=devices, num_nodes=nodes, strategy=strategy)
    except (ValueError, TypeError) as error:
        raise InputError(
            f'The strategy "{strategy}" can\'t be used ({str(error).splitlines()[0]}); ddp can.'
        ) from error
    environment = getattr(fabric.strategy, "cluster_environment", None)
    starts_processes = nodes == 1 and environment is not None and not environment.creates_processes_externally
    meeting_point = _meeting_point() if starts_processes else None
    if starts_processes:
        os.environ[STARTED_BY] = str(os.getpid())
    try:
        fabric.launch()
        atexit.register(_destroy_process_group)
        address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
        watched = torch.distributed.is_initialized() and fabric.world_size > 1 and address and port
        watch = FailureWatch(fabric.global_rank, fabric.world_size, str(address), int(port or 0)) if watched else None
    except BaseException:
        _end(_children(fabric))
        raise
    return ProcessGroup(fabric.device, fabric, watch, meeting_point)


def _meeting_point() -> TCPStore:
    """Open the port where the processes of one machine will meet, and name it in their environment.

    The system gives a port that is free, and this process has it from then on: no other run can take it in between, and none
    is met at a port that the environment names from before. The main process uses the same server when it joins.

    Whoever reaches the store could change what the processes tell each other, so nothing may reach it from other machines:
    torch opens a store on all interfaces whatever the name of the host is, unless it gets a socket that is bound already.
    """
    _stay_on_this_machine()
    if sys.platform == "win32":  # torch takes no socket there
        store = TCPStore(LOOPBACK, 0, is_master=True, wait_for_workers=False, multi_tenant=True)
    else:
        with socket.socket() as listener:
            listener.bind((LOOPBACK, 0))
            listener.listen()
            port = listener.getsockname()[1]
            store = TCPStore(
                LOOPBACK,
                port,
                is_master=True,
                wait_for_workers=False,
                multi_tenant=True,
                master_listen_fd=listener.detach(),
            )
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = LOOPBACK, str(store.port)
    return store


def _stay_on_this_machine() -> None:
    """Let processes of one machine talk over its loopback interface, unless the user has named another one."""
    name = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
    for variable in INTERFACE_VARIABLES if name else ():
        os.environ.setdefault(variable, str(name))


def _children(fabric: Any) -> list[subprocess.Popen[bytes]]:
    """The processes that Fabric has started from this one; the list that it observes itself."""
    found: list[subprocess.Popen[bytes]] | None = getattr(getattr(fabric.strategy, "launcher", None), "procs", None)
    return [] if found is None else found


def _end(children: list[subprocess.Popen[bytes]]) -> None:
    """End them at once, without Fabric's observer ending this process for that."""
    ended = list(children)
    children.clear()
    for process in ended:
        process.kill()
        process.wait()


def _destroy_process_group() -> None:
    """Close the connections at exit: gloo's threads abort a process that ends while they run."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
