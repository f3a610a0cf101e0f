"""The stacks of the reference app: one module per pattern, from the public names of the library only."""
