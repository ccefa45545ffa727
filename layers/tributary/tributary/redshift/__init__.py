"""Redshift as text: pure functions that build the warehouse's SQL, and the Data API that runs it."""
