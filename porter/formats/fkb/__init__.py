"""Text models of the Fortran-Keras Bridge."""
