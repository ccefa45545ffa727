"""Private database servers for the local stack and the tests, each on a free port of 127.0.0.1."""
