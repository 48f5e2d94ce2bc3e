"""What finite precision may do to each operation: bounds on the error, and the measured constants in them."""
