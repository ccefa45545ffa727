"""IAM for the local stack: what a call needs, the policies that are deployed, and the decision."""
