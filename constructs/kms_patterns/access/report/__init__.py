"""An access matrix, or a difference, as text, Markdown, HTML and JSON."""
