"""Models from and for other software: card.yaml, networks of the user's own Python, ONNX files of checkpoints."""
