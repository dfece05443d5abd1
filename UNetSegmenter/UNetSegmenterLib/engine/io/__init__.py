"""Image files read to their last byte: what was named is what is read, and a header that contradicts itself is told."""
