"""Pictures of README and docs: what makes which, and the command that takes them."""
