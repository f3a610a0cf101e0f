"""Templates, assemblies and git revisions read into a model."""
