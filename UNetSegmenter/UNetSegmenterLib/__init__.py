"""UNetSegmenter's library: `panel` (Qt) stands on `scene` (MRML), which stands on `engine` (torch, numpy, SimpleITK)."""

__version__ = "0.1.0"
