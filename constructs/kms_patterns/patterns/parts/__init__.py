"""What several patterns are made of."""
