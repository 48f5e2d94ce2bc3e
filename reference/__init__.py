"""The oracle: legacy forward passes in NumPy, on the arrays exactly as they are stored.

Imports NumPy and the standard library only; never porter, never TensorFlow.
"""
