"""Lambda functions of the data plane: what they run on, how they are bundled, which permissions they all share."""
