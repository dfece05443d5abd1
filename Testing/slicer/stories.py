"""What a user does and sees, one story per function; each starts with an empty scene. Returns what it measured, as text."""

from __future__ import annotations

import sys

import compare_stories
import import_stories
import job_stories
import segment_stories
import slicer
import start_stories
import view_stories


def reload_takes_the_lib_along(world):
    before = sys.modules["UNetSegmenterLib.panel.panel"]
    slicer.util.reloadScriptedModule("UNetSegmenter")
    world.settle()
    assert sys.modules["UNetSegmenterLib.panel.panel"] is not before
    world.choose("tiny")
    assert world.panel.model.card.title == "tiny"


def sample_data_is_registered(world):
    world.need("SampleData")
    import SampleData

    sources = slicer.modules.sampleDataSources.get("UNetSegmenter", [])
    assert [source.sampleName for source in sources] == ["UNetSegmenterSampleCT", "UNetSegmenterSampleReference"], (
        sources
    )
    assert SampleData is not None


STORIES = (
    *start_stories.STORIES,
    *segment_stories.STORIES,
    *view_stories.STORIES,
    *compare_stories.STORIES,
    *job_stories.STORIES,
    *import_stories.STORIES,
    sample_data_is_registered,
    reload_takes_the_lib_along,
)
