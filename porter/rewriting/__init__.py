"""The same function by another program: recognised, and judged in full as what it is."""
