"""The Load state: chunks into the warehouse, table by table."""
