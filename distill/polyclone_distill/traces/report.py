"""What a store holds: response rate, agreement with the labels, lengths, cost. Read from events alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from polyclone.errors import UsageError

from .answer import Answer, parse_answer
from .store import ANSWER, FAILED, lost, read_events

Events = Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The best answer to one pair: the first usable one, else the last."""

    pair: str
    label: bool
    languages: str
    reasoning: str
    text: str
    answer: Answer | None
    completion_tokens: int

    @property
    def correct(self) -> bool | None:
        """Whether the verdict is the label; None without a verdict."""
        return None if self.answer is None else self.answer.verdict == self.label


def read_traces(path: Path, *, prompt_version: str | None = None) -> dict[str, Trace]:
    """Pair id → its trace. `UsageError` if the file is not there or holds no answer."""
    if not path.is_file():
        raise UsageError(f"{path} is not a file; give the traces.jsonl that `polyclone-distill traces` wrote.")
    found: dict[str, Trace] = {}
    for events in read_events(path).values():
        answers = [e for e in events if e["event"] == ANSWER and prompt_version in (None, e["prompt_version"])]
        if answers:
            best = next((event for event in answers if event["valid"]), answers[-1])
            found.setdefault(best["pair"], _trace(best))
    if not found:
        raise UsageError(f"{path} holds no answer; run `polyclone-distill traces` first.")
    return found


def _trace(event: Mapping[str, Any]) -> Trace:
    answer = parse_answer(event["text"]) if event["valid"] else None
    return Trace(
        pair=event["pair"],
        label=bool(event["label"]),
        languages=event["languages"],
        reasoning=event["reasoning"],
        text=event["text"],
        answer=answer if isinstance(answer, Answer) else None,
        completion_tokens=event["completion_tokens"],
    )


def summarise(events: Events, asked: int) -> dict[str, Any]:
    """The report over a store. `asked`: how many questions the run has."""
    answers = [event for group in events.values() for event in group if event["event"] == ANSWER]
    best = [max(found, key=lambda e: e["valid"]) for found in _answers_by_key(events).values()]
    by_languages: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in best:
        by_languages[event["languages"]].append(event)
    return {
        "questions": asked,
        "answered": len(best),
        "usable": sum(event["valid"] for event in best),
        "paid answers": len(answers),
        "unusable, by problem": dict(Counter(event["problem"] for event in best if not event["valid"])),
        "refused": sum(any(e["event"] == FAILED and e["final"] for e in group) for group in events.values()),
        "requests without a known outcome": sum(lost(group) for group in events.values()),
        "prompt tokens": sum(event["prompt_tokens"] for event in answers),
        "completion tokens": sum(event["completion_tokens"] for event in answers),
        "answers with estimated tokens": sum(event["tokens_estimated"] for event in answers),
        "cost in dollars": round(sum(event["cost"] for event in answers), 6),
        "all": _figures(best),
        "languages": {name: _figures(group) for name, group in sorted(by_languages.items())},
    }


def spent(events: Events) -> float:
    """Dollars that the answers in a store cost."""
    return float(sum(e["cost"] for group in events.values() for e in group if e["event"] == ANSWER))


def _answers_by_key(events: Events) -> dict[str, list[dict[str, Any]]]:
    found = {key: [e for e in group if e["event"] == ANSWER] for key, group in events.items()}
    return {key: group for key, group in found.items() if group}


def _figures(best: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Response rate, agreement, and lengths of usable answers: right ones and wrong ones apart."""
    usable = [event for event in best if event["valid"]]
    right = [event for event in usable if event["verdict"] == event["label"]]
    wrong = [event for event in usable if event["verdict"] != event["label"]]
    return {
        "answers": len(best),
        "response rate": len(usable) / len(best) if best else None,
        "agreement with the label": len(right) / len(usable) if usable else None,
        "agreement, silence counted as No": _silent_agreement(best),
        "completion tokens, right": _lengths(right),
        "completion tokens, wrong": _lengths(wrong),
    }


def _silent_agreement(best: Sequence[Mapping[str, Any]]) -> float | None:
    if not best:
        return None
    return float(np.mean([(event["verdict"] or 0) == event["label"] for event in best]))


def _lengths(events: Sequence[Mapping[str, Any]]) -> dict[str, float] | None:
    if not events:
        return None
    tokens = np.array([event["completion_tokens"] for event in events], dtype=np.float64)
    return {"mean": float(tokens.mean()), "median": float(np.median(tokens)), "p90": float(np.quantile(tokens, 0.9))}
