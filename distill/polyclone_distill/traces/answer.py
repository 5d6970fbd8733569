"""A teacher's text → reasoning and a five-part answer, or the reason why it is none. Pure.

The verdict is read from the conclusion alone: a "Yes" anywhere else says nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .prompts import PARTS

_OPEN, _CLOSE = "<think>", "</think>"
_VERDICT = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Five parts and what the last one says."""

    parts: Mapping[str, str]
    """In the order of `PARTS`."""
    verdict: bool

    def to_json(self) -> str:
        """As the teacher was asked to write it."""
        return json.dumps({name: self.parts[name] for name in PARTS}, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """Why a text is no answer: `empty`, `no json`, `parts` or `verdict`, and the detail for people."""

    problem: str
    detail: str


def split_reasoning(content: str, reasoning: str | None = None) -> tuple[str, str]:
    """(reasoning, answer). `reasoning` is what the server sends apart; else `<think>` parts the content.

    The opening mark may be missing, since some chat templates put it into the prompt. One that is never closed
    leaves no answer: the tokens ran out while thinking.
    """
    if reasoning and reasoning.strip():
        return reasoning.strip(), content.strip()
    before, close, after = content.partition(_CLOSE)
    if close:
        return before.replace(_OPEN, "", 1).strip(), after.strip()
    if _OPEN in content:
        return content.partition(_OPEN)[2].strip(), ""
    return "", content.strip()


def parse_answer(text: str) -> Answer | Invalid:
    """The last JSON object in `text` that has the five parts; text and code fences around it do not matter."""
    if not text.strip():
        return Invalid(problem="empty", detail="the answer is empty")
    missing: Invalid | None = None
    found: Answer | Invalid | None = None
    for raw in _objects(text):
        parts = {_key(name): value for name, value in raw.items()}
        wrong = [name for name in PARTS if not isinstance(parts.get(name), str) or not parts[name].strip()]
        if wrong:
            missing = Invalid(problem="parts", detail=f"missing, empty or no string: {', '.join(wrong)}")
            continue
        verdict = verdict_of(parts["conclusion"])
        if verdict is None:
            detail = f"the conclusion starts with neither Yes nor No: {parts['conclusion'][:60]!r}"
            found = Invalid(problem="verdict", detail=detail)
        else:
            found = Answer(parts={name: parts[name].strip() for name in PARTS}, verdict=verdict)
    return found or missing or Invalid(problem="no json", detail=f"no whole JSON object in {text[:60]!r}")


def verdict_of(conclusion: str) -> bool | None:
    """True for a text that starts with Yes, False for No, None for anything else. Marks before it do not count."""
    found = _VERDICT.match(conclusion)
    return None if found is None else found[1].lower() == "yes"


def _key(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().lower())


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects that stand in `text`, the outermost ones, first to last."""
    decoder = json.JSONDecoder(strict=False)
    position = text.find("{")
    while position >= 0:
        try:
            value, end = decoder.raw_decode(text, position)
        except (json.JSONDecodeError, RecursionError):
            end = position + 1
        else:
            if isinstance(value, dict):
                yield value
        position = text.find("{", end)
