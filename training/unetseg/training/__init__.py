"""From a data set to a checkpoint: plan, preparation, configuration, augmentation, losses, training loop, files of a run."""
