"""Networks of the R package nnet."""
