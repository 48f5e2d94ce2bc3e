"""Networks of the Fast Artificial Neural Network library."""
