"""Models that were not trained with UNetSegmenter: what their files say, what they don't, and a file with a card of them."""
