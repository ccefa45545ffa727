"""The demo: three sources of a small company, filled, run, changed, run again, and compared row by row."""
