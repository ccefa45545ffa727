"""A source's file: its models, its messages and how it is read."""
