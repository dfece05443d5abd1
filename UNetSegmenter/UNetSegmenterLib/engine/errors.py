"""The exception that panel and command line catch, and what other exceptions mean to the user."""

from __future__ import annotations

import errno
import re

TORCH_MISSING = "PyTorch, which runs the network, is not installed; install it with the button in the panel."

ONNX_MISSING = (
    "onnx and onnxruntime, which run a model in an ONNX file, are not installed; install them with the button in the panel, or "
    'with: pip install "onnx>=1.17" "onnxruntime>=1.19"'
)


LONGEST_MESSAGE = 900
_FROM_START, _FROM_END = 600, 250
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Line breaks and other control characters, changes of the writing direction, and bytes of names that are no text."""

_ADVICE = {
    errno.ENOENT: "check the path",
    errno.EACCES: "check its rights",
    errno.EPERM: "check its rights",
    errno.ENOSPC: "free some space",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ELOOP: "it is a link that leads back to itself",
}


class InputError(ValueError):
    """Input that cannot be used.

    The message is one sentence: it names the input, what was found, what was expected and what to do. Whatever the names and
    values of the input are, it stays one line of a length that can be read.
    """

    def __init__(self, message: str) -> None:
        text = _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), message)
        if len(text) > LONGEST_MESSAGE:
            text = f"{text[:_FROM_START]} ... {text[-_FROM_END:]}"
        super().__init__(text)


def os_error_text(error: OSError) -> str:
    """What the system says of a file, as one sentence."""
    file = f"{error.filename}: " if error.filename else ""
    advice = f"; {_ADVICE[error.errno]}" if error.errno in _ADVICE else ""
    return f"{file}{error.strerror or error}{advice}."


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
    if isinstance(error, (PermissionError, FileNotFoundError)) and error.filename:
        return "input", f"{subject} stopped: {os_error_text(error)}"
    text = str(error).strip().splitlines()
    return (
        "internal",
        f"{subject} stopped with an error ({type(error).__name__}: {text[0] if text else 'no message'}).",
    )
