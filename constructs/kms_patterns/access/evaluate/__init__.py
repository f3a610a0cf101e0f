"""From a model to an access matrix, and from two matrices to their difference."""
