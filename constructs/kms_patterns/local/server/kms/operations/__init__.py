"""What each operation of AWS KMS does, once it is authorized."""
