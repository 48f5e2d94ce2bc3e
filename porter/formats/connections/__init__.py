"""Listings of one connection a line, whoever wrote them."""
