"""What the trainer raises when input or configuration is wrong. Every message says the remedy."""

from __future__ import annotations


class TrainerError(ValueError):
    """Wrong configuration, data or weights."""
