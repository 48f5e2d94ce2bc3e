"""Threads that are kept between one use and the next."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def threads(purpose: str, count: int) -> ThreadPoolExecutor:
    """So many of them for one purpose, the same ones every time."""
    return ThreadPoolExecutor(count, purpose)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=threads.cache_clear)  # no thread survives a fork
