"""Key material that is made outside of AWS KMS: read or generated, wrapped, and imported into a key."""
