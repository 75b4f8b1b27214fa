"""Suites: what an evaluation flies. Each is a function of a contestant that returns figures."""

from acclimate_training.evaluation.suites import (
    changes,
    endurance,
    ground,
    knowledge,
    rates,
    recovery,
    tampering,
    variations,
)
from acclimate_training.evaluation.suites.scenario import Contestant, Suite, SuiteCfg

GROUND = "ground"
SUITES: dict[str, Suite] = {
    GROUND: ground.ground,
    "senses": variations.suite_of(variations.SENSES),
    "air": variations.suite_of(variations.AIR),
    "body": variations.suite_of(variations.BODY),
    "changes": changes.changes,
    "rates": rates.rates,
    "recovery": recovery.recovery,
    "endurance": endurance.endurance,
    "tampering": tampering.tampering,
    "knowledge": knowledge.knowledge,
}
"""By the name that `acclimate evaluate --suite` takes; `full` is all of them."""

__all__ = ["GROUND", "SUITES", "Contestant", "Suite", "SuiteCfg"]
