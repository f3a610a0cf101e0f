"""Questions to an access matrix: a part of it, one decision explained, who can read content."""
