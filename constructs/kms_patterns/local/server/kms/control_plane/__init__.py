"""The control plane of KMS: what it checks, and the operations that the emulator does not execute as AWS does."""
