"""Constructs for whole uses of a KMS key, one per file."""
