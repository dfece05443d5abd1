"""Scenes and pictures without an application window."""
