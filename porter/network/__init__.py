"""What was read, in canonical form."""

from porter.network.network import Claim, Dense, Ensemble, Evidence, Extremes, Layer, Network, Scaling, Transform

__all__ = ["Claim", "Dense", "Ensemble", "Evidence", "Extremes", "Layer", "Network", "Scaling", "Transform"]
