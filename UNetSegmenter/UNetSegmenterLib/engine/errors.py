"""The one exception that every face (panel, command line) catches."""


class InputError(ValueError):
    """Input that cannot be used.

    The message is one sentence that names the thing, what was found, what was expected and what to do.
    """
