"""For every floor: small networks run faster on one thread, and tests that run side by side don't fight for cores."""

import os
import shutil
import signal
import tempfile

import pytest

# A shell's background job ignores Ctrl-C, and so would every process that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start: they share the machine
_temporary = pytest.StashKey[str]()


def pytest_configure(config):
    """Give the run a temporary folder of its own: what tests and their processes leave in it goes with the run."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # tmp_path stays where one looks for it
    folder = config.stash[_temporary] = tempfile.mkdtemp(prefix="unetseg-tests-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def pytest_unconfigure(config):
    shutil.rmtree(config.stash[_temporary], ignore_errors=True)


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        help="run only the tests of a computing device, on this one: cuda, cuda:1, mps (they run on cpu otherwise)",
    )
    parser.addoption(
        "--full-length",
        action="store_true",
        help="train what the course trains in as many steps as its pages say (minutes; make course), not in a few",
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") is None:
        return
    other = [item for item in items if "device" not in getattr(item, "fixturenames", ())]
    config.hook.pytest_deselected(items=other)
    items[:] = [item for item in items if item not in set(other)]


@pytest.fixture(scope="session")
def device(request):
    """What the tests of a computing device compute on."""
    import torch

    return torch.device(request.config.getoption("--device") or "cpu")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)
