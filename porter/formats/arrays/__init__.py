"""Kernels and biases under names that say which they are, in HDF5 or in an .npz."""
