"""Services other than S3 that encrypt under KMS keys and ask for them as their caller."""
