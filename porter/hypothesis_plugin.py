"""What Hypothesis calls as it is imported, perhaps by ``porter.strategies``: neither is imported before that."""

from __future__ import annotations

from typing import Any


def register() -> None:
    """Let ``st.from_type(porter.Network)`` draw networks."""
    from hypothesis import strategies as st

    from porter.network import Network

    st.register_type_strategy(Network, _networks)


def _networks(_kind: Any) -> Any:
    from porter.strategies import networks

    return networks()
