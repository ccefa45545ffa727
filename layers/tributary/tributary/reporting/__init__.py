"""The Report state: what happened, for people and for metrics."""
