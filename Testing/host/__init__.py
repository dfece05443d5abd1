"""A small stand-in for the Qt layer of 3D Slicer, for the panel's tests; `README.md` says what it covers and what not."""

from .application import start

__all__ = ["start"]
