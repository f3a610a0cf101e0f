"""From a ``grant_…`` call to the two statements that it writes."""
