"""Headless: data sets, preparation, training, evaluation and the `unetseg` command line."""
