"""The reading of a file of any family, by golden samples where there are some."""

from __future__ import annotations

from functools import singledispatch

from porter.examination.domain import port_limits
from porter.formats.samples import Samples
from porter.network import Network
from porter.network.graph import KerasNetwork
from porter.reading.check import Reading, check_reading, unproven
from reference.trace import Program


def reading_of(network: Network, program: Program, golden: Samples | None) -> Reading:
    """Judge how a network's file is read.

    Args:
        network: as read.
        program: its forward pass.
        golden: what the original gave, or None.

    Raises:
        SamplesShapeError: inputs that the network cannot take.
    """
    if golden is None:
        return unproven(network.claims)
    return _by_samples(network, program, golden)


@singledispatch
def _by_samples(network: Network, program: Program, golden: Samples) -> Reading:
    return check_reading(program, network.claims, golden, port_limits(program, outside=False))


@_by_samples.register(KerasNetwork)
def _(network: KerasNetwork, program: Program, golden: Samples) -> Reading:
    from porter.reading.graphs import check_legacy_reading

    del program
    return check_legacy_reading(network, golden)
