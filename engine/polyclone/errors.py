"""The exception tree: misuse and broken installations. Expected trouble with one file is a `Failure` value."""

from __future__ import annotations


class PolycloneError(Exception):
    """Base of every error a caller may want to catch. The message always says the remedy."""


class UsageError(PolycloneError):
    """The call itself is wrong: an unknown language, a path that does not exist, a bad option value."""


class ConfigError(PolycloneError):
    """A configuration file that cannot be read or that holds an invalid value."""


class ModelError(PolycloneError):
    """A model bundle that is missing, damaged, hostile, or made for another version."""


class StoreError(PolycloneError):
    """A cache file that must not be touched: it belongs to another program or a newer version."""


class SuppressionError(PolycloneError):
    """A file of ignored or accepted pairs that cannot be read or written."""
