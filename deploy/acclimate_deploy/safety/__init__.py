"""Guard the output of a policy: limits, checks, and the supervisor that owns the actuators."""

from acclimate_deploy.safety.limits import MultirotorLimits
from acclimate_deploy.safety.supervisor import (
    SAFE_COMMAND,
    Decision,
    Inputs,
    Mode,
    Request,
    SupervisorState,
    decide,
    find_problems,
)

__all__ = [
    "SAFE_COMMAND",
    "Decision",
    "Inputs",
    "Mode",
    "MultirotorLimits",
    "Request",
    "SupervisorState",
    "decide",
    "find_problems",
]
