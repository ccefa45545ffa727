"""The nested templates, and what `make deploy` checks and asks before it builds."""
