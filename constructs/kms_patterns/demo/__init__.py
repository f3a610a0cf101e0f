"""The reference app deployed to the embedded AWS, used as it should be, and refused as it should be."""
