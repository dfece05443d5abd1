"""For every floor: small networks run faster on one thread, and tests that run side by side don't fight for cores."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)
