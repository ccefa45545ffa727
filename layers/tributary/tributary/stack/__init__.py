"""What the stack's own functions do at a deploy and when a person calls them."""
