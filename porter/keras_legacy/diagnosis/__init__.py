"""What is wrong with a step of a port of a legacy Keras network: one module a family of hypotheses."""
