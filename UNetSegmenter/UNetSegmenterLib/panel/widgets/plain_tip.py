"""Texts of other people in tool tips: Qt guesses whether a tip is rich text, and rich text can name files that Qt would open."""

from __future__ import annotations

from html import escape


def plain_tip(text: str) -> str:
    """The text as a tool tip that shows it letter by letter, whatever it holds."""
    return "<p>" + escape(text).replace("\n", "<br>") + "</p>" if "<" in text else text
