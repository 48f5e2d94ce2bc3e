"""From what was examined and named to a report."""
