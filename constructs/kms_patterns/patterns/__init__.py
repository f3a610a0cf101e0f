"""Constructs for whole uses of a KMS key, one per file.

``parts``: What several patterns are made of.
"""
