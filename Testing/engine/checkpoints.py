"""A small checkpoint with random weights, for tests."""

import torch
from UNetSegmenterLib.engine.labels.structures import ABDOMEN8
from UNetSegmenterLib.engine.model.architectures import build_network, unet
from UNetSegmenterLib.engine.model.card import Card
from UNetSegmenterLib.engine.model.normalisation import window
from UNetSegmenterLib.engine.model.preprocessing import Preprocessing


def small_card(input_slices=3, structures=ABDOMEN8[:3], **changes) -> Card:
    preprocessing = Preprocessing(
        (2.0, 2.0), window(-160.0, 240.0), input_slices, slice_distance_mm=3.0, size_multiple=4
    )
    entries = {
        "title": "Small abdomen",
        "network": unet(input_slices, len(structures) + 1, base_width=4, depth=2),
        "structures": structures,
        "preprocessing": preprocessing,
        "training": {"data_set": "none"},
        "validation": {structures[0].name: {"dice": {"mean": 0.5, "sd": 0.1, "n": 2}}},
    }
    return Card(**entries | changes)


def small_weights(card, seed=0):
    """Random weights whose logits differ enough that every class wins somewhere."""
    torch.manual_seed(seed)
    network = build_network(card.network)
    slices = torch.nn.functional.interpolate(torch.randn(4, card.network.input_slices, 6, 6), (24, 24), mode="bilinear")
    with torch.no_grad():
        for _ in range(30):
            network(slices)  # settles the running statistics
        network.eval()
        network.exit.weight.mul_(10)
        network.exit.bias.sub_(network(slices).mean(dim=(0, 2, 3)))
    return network.state_dict()
