"""A checkpoint and its card, the network, and prediction slice by slice."""
