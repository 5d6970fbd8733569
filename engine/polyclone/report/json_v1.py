"""The report programs read: schema version 1, described in `schema-v1.json`.

Sorted and free of times, machine paths and anything else that changes between two runs on the same content.
"""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

from polyclone.suppress import SOURCES, Account
from polyclone.values import CloneGroup, Function, Match, ModelInfo, ScanResult

VERSION = 1
_PLACES = 4
"""Decimal places of probabilities and similarities: as many as the engine itself keeps."""


def render(result: ScanResult, account: Account | None = None) -> str:
    """A scan as one JSON document that ends in a line end. ASCII only, so that no encoding can break it.

    `account` says what was left out of `result`; None if nothing was to be.
    """
    return _dump(document(result, account))


def render_query(target: Function, matches: Sequence[Match], *, threshold: float, model: ModelInfo) -> str:
    """The ranked matches of one function. `Match.left` is the target."""
    return _dump(
        {
            "version": VERSION,
            "model": _model(model),
            "threshold": round(threshold, _PLACES),
            "target": _function(target),
            "matches": [
                {
                    "probability": round(match.probability, _PLACES),
                    "similarity": round(match.similarity, _PLACES),
                    "above_threshold": match.probability >= threshold,
                    "reasons": _reasons(match),
                    "fingerprint": match.fingerprint,
                    "function": _function(match.right),
                }
                for match in matches
            ],
        }
    )


def document(result: ScanResult, account: Account | None = None) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "version": VERSION,
        "model": _model(result.model),
        "threshold": round(result.threshold, _PLACES),
        "files": result.files,
        "functions": result.functions,
        "too_small": result.too_small,
        "truncated": result.truncated,
        "unverified": result.unverified,
        "skipped": dict(sorted(result.skipped.items())),
        "failures": [
            {"path": failure.path, "stage": failure.stage, "message": failure.message}
            for failure in sorted(result.failures, key=lambda f: (f.path, f.stage, f.message))
        ],
        "suppressed": None if account is None else _suppressed(account),
        "groups": [_group(group) for group in sorted(result.groups, key=_group_order)],
        "pairs": [_pair(match) for match in sorted(result.matches, key=_pair_order)],
    }


def schema() -> dict[str, Any]:
    """The JSON Schema of both documents."""
    text = importlib.resources.files(__package__).joinpath("schema-v1.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"


def _model(model: ModelInfo) -> dict[str, Any]:
    # Not the provider: it is a property of the machine, and the findings do not depend on it.
    return {
        "name": model.name,
        "kind": model.kind,
        "version": model.version,
        "digest": model.digest,
        "dimension": model.dimension,
    }


def _suppressed(account: Account) -> dict[str, Any]:
    return {
        "pairs": {source: account.pairs.get(source, 0) for source in SOURCES},
        "reasons": [{"source": source, "reason": reason, "pairs": n} for source, reason, n in account.reasons],
        "unused": None
        if account.unused is None
        else [
            {
                "source": u.source,
                "path": u.path,
                "line": u.line0 + 1,
                "text": u.text,
                "fingerprint": u.fingerprint or None,
            }
            for u in account.unused
        ],
        "problems": [{"path": p.path, "line": p.line0 + 1, "message": p.message} for p in account.problems],
    }


def _pair(match: Match) -> dict[str, Any]:
    return {
        "probability": round(match.probability, _PLACES),
        "similarity": round(match.similarity, _PLACES),
        "reasons": _reasons(match),
        "fingerprint": match.fingerprint,
        "left": _function(match.left),
        "right": _function(match.right),
    }


def _group(group: CloneGroup) -> dict[str, Any]:
    return {
        "probability": round(group.probability, _PLACES),
        "fingerprint": group.fingerprint,
        "members": [_function(member) for member in sorted(group.members, key=_place)],
    }


def _reasons(match: Match) -> list[dict[str, Any]]:
    return [{"kind": r.kind, "text": r.text, "items": list(r.items)} for r in match.reasons]


def _function(function: Function) -> dict[str, Any]:
    return {
        "path": function.path,
        "language": function.language,
        "kind": function.kind,
        "name": function.name,
        "qualified_name": function.qualified_name,
        "start_line": function.span.start_line0 + 1,
        "end_line": function.span.end_line0 + 1,
    }


def _place(function: Function) -> tuple[str, int, int]:
    return (function.path, function.span.start_byte, function.span.end_byte)


def _pair_order(match: Match) -> tuple[object, ...]:
    return (-round(match.probability, _PLACES), _place(match.left), _place(match.right))


def _group_order(group: CloneGroup) -> tuple[object, ...]:
    return (-round(group.probability, _PLACES), sorted(map(_place, group.members)))
