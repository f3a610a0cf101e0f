"""The ``kms-patterns`` command: one module per command, each of which parses, calls and prints."""
