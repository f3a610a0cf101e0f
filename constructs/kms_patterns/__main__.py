"""``python -m kms_patterns`` is the ``kms-patterns`` command."""

from kms_patterns.cli.main import main

main()
