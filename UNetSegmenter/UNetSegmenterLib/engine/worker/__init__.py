"""The child process that runs the network, and its messages."""
