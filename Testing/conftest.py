"""For every floor: small networks run faster on one thread, and tests that run side by side don't fight for cores."""

import pytest


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
