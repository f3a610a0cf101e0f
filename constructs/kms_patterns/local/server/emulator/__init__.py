"""The one seam to ministack: what is replaced in it, and how."""
