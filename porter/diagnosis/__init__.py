"""From a port that differs to the mistake: what was tried, and what explains it."""
