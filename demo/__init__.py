"""The scenarios of ``make demo``: what each role may do, and what it is refused."""
