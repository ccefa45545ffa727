"""What each function reads from its environment, and the clients that it makes of that."""
