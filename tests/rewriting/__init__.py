"""Right ports that are other programs, and mistakes in them."""
