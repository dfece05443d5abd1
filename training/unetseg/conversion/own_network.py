"""A PyTorch network of the user's own: its Python is imported, its weights are loaded, and it is traced to ONNX.

The only place where Python of others is run. It is part of the command line alone, which says so before; Slicer never does it.
"""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from UNetSegmenterLib.engine.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

STATE_DICTS = ("state_dict", "model_state_dict", "model", "network_weights", "net")
"""Where checkpoints of other software have their weights, if not at the top."""
PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.")
"""What DataParallel, Lightning and torch.compile put before every name."""
MOST_NAMED = 3  # weights in an error message


def build_own_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """Import the user's Python and call what `name` says, "package.module:function"; the current folder is searched first.

    Raises:
        InputError: there is no such module or function, it fails, or gives no network.
    """
    from torch import nn

    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise InputError(
            f'--network is "{name}"; a module and a function or class are expected, such as my_unet:build.'
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    function = _found(name, module_name, function_name)
    if isinstance(function, nn.Module):
        return function.eval()
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise InputError(
            f"{name} can't be called with {dict(arguments) or 'no arguments'} ({error}); give them with "
            "--network-arguments '{\"in_channels\": 1}'."
        ) from error
    except ValueError:
        pass  # something without a signature
    try:
        network = function(**arguments)
    except (Exception, SystemExit) as error:
        raise InputError(f"{name} failed ({type(error).__name__}: {_line(error)}); it is your own Python.") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{name} returned a {type(network).__name__}; a torch.nn.Module is expected.")
    return network.eval()


def _found(name: str, module_name: str, function_name: str) -> Any:
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise InputError(
                f"There is no Python module {error.name} here; run the command in the folder that holds it, or install it."
            ) from error
        raise InputError(f"{module_name} needs {error.name}, which is not installed; install it with pip.") from error
    except (Exception, SystemExit) as error:  # a script that runs when it is imported may end the program
        raise InputError(
            f"{module_name} can't be imported ({type(error).__name__}: {_line(error)}); it is your own Python."
        ) from error
    for part in function_name.split("."):
        if not hasattr(found, part):
            known = [one for one, value in vars(found).items() if callable(value) and not one.startswith("_")]
            raise InputError(f"{name}: there is no {part}; callable there are {', '.join(known[:10]) or 'none'}.")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{name} is a {type(found).__name__}; a function or class that gives the network is expected.")
    return found


def load_weights(network: nn.Module, path: Path) -> None:
    """Load the weights of a file into a network; nothing in the file is run.

    Raises:
        InputError: the file can't be read, holds more than weights, or they don't fit; the message names them.
    """
    import torch

    state = _state_dict(path)
    expected = network.state_dict()
    state = _without_prefix(state, expected)
    missing = [name for name in expected if name not in state]
    surplus = [name for name in state if name not in expected]
    wrong = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    counters = [name for name in missing if name.endswith("num_batches_tracked")]  # of old files; evaluation needs none
    if missing != counters or surplus or wrong:
        raise InputError(
            f"The weights of {path} don't fit the network: {_misfits(missing, surplus, wrong, state, expected)}; check "
            "--network-arguments."
        )
    if not all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point()):
        raise InputError(f"{path} has weights that are not finite: the training that wrote it diverged.")
    network.load_state_dict(state, strict=False)


def _state_dict(path: Path) -> dict[str, Tensor]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} is not there; give the file of the weights.") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        reason = "it holds more, or other things" if "weights_only" in str(error) else _line(error)
        raise InputError(
            f"{path} can't be read as weights alone ({reason}). A file with whole Python objects is not opened, because "
            "that runs code; where it was trained, write torch.save(network.state_dict(), 'weights.pth')."
        ) from error
    for name in STATE_DICTS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds a {type(content).__name__}; a state dict is expected.")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    for name, tensor in tensors.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
            raise InputError(
                f'{path} has "{name}" as a tensor that is sparse, quantised, complex or without values; dense real numbers are '
                "expected, as torch.save(network.state_dict(), 'weights.pth') writes them."
            )
    if len(tensors) < len(content):
        others = [str(name) for name, value in content.items() if not isinstance(value, torch.Tensor)]
        raise InputError(
            f"{path} holds more than weights ({', '.join(others[:MOST_NAMED])}), and none of {', '.join(STATE_DICTS)}; "
            "write torch.save(network.state_dict(), 'weights.pth')."
        )
    return tensors


def _without_prefix(state: dict[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without what all their names begin with, where they fit better so."""
    while not (set(state) & set(expected)):
        prefix = next((one for one in PREFIXES if all(name.startswith(one) for name in state)), None)
        if prefix is None:
            return state
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _misfits(
    missing: list[str],
    surplus: list[str],
    wrong: list[str],
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> str:
    parts = []
    if wrong:
        shapes = [f'"{name}" is {_shape(state[name])} and should be {_shape(expected[name])}' for name in wrong]
        parts.append(", ".join(shapes[:MOST_NAMED]) + _and_more(wrong))
    for names, what in ((missing, "missing"), (surplus, "of no use")):
        if names:
            shown = [f'"{name}"' for name in names[:MOST_NAMED]]
            parts.append(f"{', '.join(shown)}{_and_more(names)} {'is' if len(names) == 1 else 'are'} {what}")
    return "; ".join(parts)


def _and_more(names: list[str]) -> str:
    return f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "a single number"


def input_channels(network: nn.Module) -> int:
    """Channels that the first convolution of a network reads; 1 if it has none."""
    from torch import nn

    return next((one.in_channels for one in network.modules() if isinstance(one, nn.Conv2d)), 1)


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no message"
