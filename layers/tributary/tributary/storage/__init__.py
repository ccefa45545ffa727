"""What the pipeline keeps in the raw bucket, and how it is written safely."""
