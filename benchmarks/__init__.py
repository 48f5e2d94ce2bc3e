"""Measurements of the checker itself: what it finds, what it flags wrongly, what it costs."""
