"""Training on a cluster or another machine: one script template per scheduler, filled in and submitted."""
