"""Which questions a run has, which of them a store has answered, and what the rest would cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..pairs.values import Pair
from .client import Endpoint
from .prompts import Prompt
from .store import ANSWER, FAILED
from .values import Price, Usage, estimate_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One pair with its messages and the key its answers are kept under."""

    pair: Pair
    key: str
    messages: tuple[Mapping[str, str], ...]

    @property
    def prompt_tokens(self) -> int:
        """Estimated."""
        return sum(estimate_tokens(message["content"]) for message in self.messages)


def questions(pairs: Sequence[Pair], prompt: Prompt, endpoint: Endpoint) -> list[Question]:
    """In the order of the pairs. The key covers messages, model and temperature: another question, another key."""
    found = []
    for pair in pairs:
        messages = tuple(prompt.messages(pair))
        text = json.dumps([messages, endpoint.model, endpoint.temperature], ensure_ascii=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:24]
        found.append(Question(pair=pair, key=key, messages=messages))
    return found


def is_settled(events: Sequence[Mapping[str, Any]], asks: int) -> bool:
    """Whether a key needs no request: it has a usable answer, was refused, or was answered `asks` times."""
    answers = [event for event in events if event["event"] == ANSWER]
    refused = any(event["event"] == FAILED and event["final"] for event in events)
    return refused or any(event["valid"] for event in answers) or len(answers) >= asks


def pending(
    all_questions: Sequence[Question], events: Mapping[str, list[dict[str, Any]]], asks: int
) -> list[Question]:
    """Questions that `events` do not settle. Pairs of the same text are asked once."""
    seen: set[str] = set()
    rest = []
    for question in all_questions:
        if question.key not in seen and not is_settled(events.get(question.key, []), asks):
            rest.append(question)
        seen.add(question.key)
    return rest


def most_expensive(question: Question, endpoint: Endpoint, price: Price) -> float:
    """What one request may cost at most, in dollars."""
    return price.of(Usage(prompt=question.prompt_tokens, completion=endpoint.max_tokens))


def expected(rest: Sequence[Question], answer_tokens: int, price: Price) -> tuple[Usage, float]:
    """Estimated tokens and dollars of `rest` at `answer_tokens` an answer."""
    usage = Usage(
        prompt=sum(question.prompt_tokens for question in rest),
        completion=answer_tokens * len(rest),
        estimated=True,
    )
    return usage, price.of(usage)
