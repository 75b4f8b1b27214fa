"""Errors of training and evaluation."""

from acclimate_contract import AcclimateError


class TrainingError(AcclimateError, RuntimeError):
    """Training cannot start or cannot go on."""


class EvaluationError(AcclimateError, RuntimeError):
    """An evaluation cannot be made or recorded."""
