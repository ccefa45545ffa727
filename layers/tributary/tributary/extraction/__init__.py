"""The Extract state: pages of a source into chunks on S3."""
