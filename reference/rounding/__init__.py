"""What finite precision may do to each operation: bounds on the error, and the measured constants in them."""

from reference.rounding.bounds import allowed_error, end_to_end, has_bound, inevitable_overflow, platform_allowance

__all__ = ["allowed_error", "end_to_end", "has_bound", "inevitable_overflow", "platform_allowance"]
