"""Who can become a user of a key, or change what one may do: a table of methods, and the paths that they make."""
