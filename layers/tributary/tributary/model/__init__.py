"""The documents and vocabulary that every room shares."""
