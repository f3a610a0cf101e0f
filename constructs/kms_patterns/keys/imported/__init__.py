"""Keys of other owners: by ARN, by alias, by look-up."""
