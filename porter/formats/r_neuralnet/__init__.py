"""Networks of the R package neuralnet."""
