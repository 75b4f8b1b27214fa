"""What can go wrong in the use of Isaac Gym."""

from acclimate_contract import AcclimateError


class IsaacGymError(AcclimateError, RuntimeError):
    """A call that the real Isaac Gym would answer with a crash, old numbers or nothing at all."""
