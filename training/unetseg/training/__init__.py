"""The training loop and what it needs: configuration, plan, augmentation, losses, several processes, files of a run."""
