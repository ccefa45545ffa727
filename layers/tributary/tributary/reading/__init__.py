"""Pages of text turned into Arrow, the same for every engine."""
