"""Parts that sections are made of."""
