"""AWS KMS itself: requests, keys, grants, policies, and what each operation does."""
