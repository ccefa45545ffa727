"""Tributary: every SQL database of a company flows into one Amazon Redshift warehouse."""

__version__ = "0.1.0"
