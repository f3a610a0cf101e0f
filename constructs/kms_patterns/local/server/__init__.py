"""The process of the embedded AWS: the emulator with our KMS in it. Only the parent package starts it."""
