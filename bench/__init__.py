"""The benchmark: the project's own extraction beside other tools, on the same data and machine."""
