"""Suites: what an evaluation flies. Each is a function of a contestant that returns figures."""

from acclimate_training.evaluation.suites.changes import changes
from acclimate_training.evaluation.suites.endurance import endurance
from acclimate_training.evaluation.suites.ground import ground
from acclimate_training.evaluation.suites.knowledge import knowledge
from acclimate_training.evaluation.suites.rates import rates
from acclimate_training.evaluation.suites.recovery import recovery
from acclimate_training.evaluation.suites.scenario import Contestant, Suite, SuiteCfg
from acclimate_training.evaluation.suites.tampering import tampering
from acclimate_training.evaluation.suites.variations import AIR, BODY, SENSES, suite_of

GROUND = "ground"
SUITES: dict[str, Suite] = {
    GROUND: ground,
    "senses": suite_of(SENSES),
    "air": suite_of(AIR),
    "body": suite_of(BODY),
    "changes": changes,
    "rates": rates,
    "recovery": recovery,
    "endurance": endurance,
    "tampering": tampering,
    "knowledge": knowledge,
}
"""By the name that `acclimate evaluate --suite` takes; `full` is all of them."""

__all__ = ["GROUND", "SUITES", "Contestant", "Suite", "SuiteCfg"]
