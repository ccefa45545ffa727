"""`make first-day`: deploy a small stack, ask a real warehouse what only it can answer, and clean up."""
