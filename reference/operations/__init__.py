"""What the layers of legacy networks compute, in NumPy: steps of a program."""
