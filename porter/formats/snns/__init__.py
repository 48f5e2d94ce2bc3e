"""Networks of the Stuttgart Neural Network Simulator."""
