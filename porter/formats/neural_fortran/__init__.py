"""Networks that neural-fortran saved as text."""
