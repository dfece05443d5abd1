"""Volumes, structures, the network and what is measured on its results; imports in Slicer, on a GPU server and in a notebook."""
