"""The Plan state: decides everything that a run will do, and freezes it."""
