"""Guard the output of a policy: limits, checks, and the supervisor that owns the actuators."""

from acclimate_deploy.safety.limits import MultirotorLimits
from acclimate_deploy.safety.supervisor import (
    Decision,
    Inputs,
    Mode,
    Request,
    SupervisorState,
    decide,
    find_problems,
    safe_command,
)

__all__ = [
    "Decision",
    "Inputs",
    "Mode",
    "MultirotorLimits",
    "Request",
    "SupervisorState",
    "decide",
    "find_problems",
    "safe_command",
]
