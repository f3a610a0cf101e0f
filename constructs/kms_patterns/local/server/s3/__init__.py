"""Server-side encryption of S3 objects under KMS keys."""
