"""Golden recordings, and what the test plugin asks of them."""
