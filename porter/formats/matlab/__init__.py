"""Networks that MATLAB wrote out as functions."""
