"""Training on a cluster or another machine: one script template a scheduler, filled in and handed over."""
