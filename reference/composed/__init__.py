"""Steps made of other steps, and the same function by another program."""
