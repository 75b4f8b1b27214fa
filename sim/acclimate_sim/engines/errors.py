"""What can go wrong inside an engine."""

from acclimate_contract import AcclimateError


class SimulationError(AcclimateError, RuntimeError):
    """The engine's state stopped being usable: not finite, or beyond what it can integrate."""
