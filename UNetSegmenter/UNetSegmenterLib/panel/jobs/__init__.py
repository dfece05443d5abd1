"""What runs in the worker, or step by step on the event loop."""
