"""The values of a trace run: what a request cost, what came back, what went wrong."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one request. Reasoning tokens are part of `completion`."""

    prompt: int
    completion: int
    estimated: bool = False
    """Whether the server said nothing and the figures come from the length of the text."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt=self.prompt + other.prompt,
            completion=self.completion + other.completion,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars for a million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def of(self, usage: Usage) -> float:
        """Dollars."""
        return (usage.prompt * self.prompt + usage.completion * self.completion) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the server as it was."""

    content: str
    reasoning: str | None
    finish: str
    """`stop`, `length`, … in the server's words."""
    usage: Usage
    model: str
    elapsed_s: float


#: Characters a token of code has, at least; for estimates where nobody counts.
CHARACTERS_PER_TOKEN = 3.0


def estimate_tokens(text: str) -> int:
    """Tokens of `text`, rather too many than too few."""
    return round(len(text) / CHARACTERS_PER_TOKEN) + 1
