"""Errors that reach a user: each message says what happened, why it matters and how to fix it."""


class AcclimateError(Exception):
    """Root of every error that this project raises on purpose."""


class ConfigError(AcclimateError, ValueError):
    """A setting is impossible or contradicts another one."""


class ContractError(AcclimateError, ValueError):
    """A policy file or a signal does not keep the contract."""
