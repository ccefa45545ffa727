"""The whole pipeline on one machine: stand-ins for AWS and the warehouse, and private databases."""
