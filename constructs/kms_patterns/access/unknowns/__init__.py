"""Unknown values: symbols in a model, and statements with them written so that the simulator decides each part."""
