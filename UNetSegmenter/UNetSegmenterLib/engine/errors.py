"""The exception that panel and command line catch, and what other exceptions mean to the user."""

from __future__ import annotations

import errno

TORCH_MISSING = "PyTorch, which runs the network, is not installed; install it with the button in the panel."

ONNX_MISSING = (
    "onnx and onnxruntime, which run a model in an ONNX file, are not installed; install them with the button in the panel, or "
    'with: pip install "onnx>=1.17" "onnxruntime>=1.19"'
)


class InputError(ValueError):
    """Input that cannot be used.

    The message is one sentence: it names the input, what was found, what was expected and what to do.
    """


def explain(error: Exception, subject: str = "The network") -> tuple[str, str]:
    """What an exception means to the user.

    Args:
        error: the exception.
        subject: what it stopped, such as "The network".

    Returns:
        A kind ("input", "missing" or "internal") and one sentence.
    """
    if isinstance(error, InputError):
        return "input", str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "torch":
        return "missing", TORCH_MISSING
    if isinstance(error, ModuleNotFoundError) and error.name in ("onnx", "onnxruntime"):
        return "missing", ONNX_MISSING
    if isinstance(error, MemoryError):
        return (
            "internal",
            f"{subject} stopped: the computer's memory is full. Close other programs or choose a smaller scan.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" on the disk of {error.filename}" if isinstance(error.filename, str) else ""
        return "input", f"{subject} stopped ({error.strerror}); free some space{where} and start it again."
    text = str(error).strip().splitlines()
    return (
        "internal",
        f"{subject} stopped with an error ({type(error).__name__}: {text[0] if text else 'no message'}).",
    )
