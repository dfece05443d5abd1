"""Layouts, linked views and what is shown in them."""
