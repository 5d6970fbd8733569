"""Engine values → the payloads of `protocol.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from polyclone.report.wording import language as language_title
from polyclone.suppress import label
from polyclone.values import CloneGroup, Failure, Function, Match, ModelInfo, ScanResult

from polyclone_server import protocol
from polyclone_server.convert.positions import json_range, name_range, whole_range
from polyclone_server.folders import Folder, folder_of
from polyclone_server.scene import Scene


def function_item(scene: Scene, function: Function) -> protocol.FunctionItem:
    """A function of the workspace. One whose text is gone stands at the lines it had."""
    place = scene.place(function)
    if place is None:
        start: protocol.Position = {"line": function.span.start_line0, "character": 0}
        whole = selection = protocol.Range(start=start, end=start)
    else:
        whole = json_range(whole_range(place, scene.encoding))
        selection = json_range(name_range(place, scene.encoding))
    return {
        "uri": scene.uri(function.path),
        "path": scene.shown(function.path),
        "language": function.language,
        "languageTitle": language_title(function.language),
        "name": function.name,
        "qualifiedName": function.qualified_name,
        "range": whole,
        "selectionRange": selection,
    }


def match_item(scene: Scene, match: Match) -> protocol.MatchItem:
    """A match, as seen from its left side."""
    return {
        "function": function_item(scene, match.right),
        "probability": match.probability,
        "similarity": match.similarity,
        "reasons": [reason.text for reason in match.reasons],
        "fingerprint": match.fingerprint,
    }


def group_items(scene: Scene, result: ScanResult) -> Iterable[protocol.GroupItem]:
    """The groups of a scan, one by one."""
    matches: dict[frozenset[Function], Match] = {frozenset((m.left, m.right)): m for m in result.matches}
    for group in result.groups:
        yield _group_item(scene, group, matches)


def _group_item(scene: Scene, group: CloneGroup, matches: Mapping[frozenset[Function], Match]) -> protocol.GroupItem:
    pairs: list[protocol.PairItem] = []
    accepted: list[bool] = []
    members = group.members
    for left in range(len(members)):
        for right in range(left + 1, len(members)):
            match = matches.get(frozenset((members[left], members[right])))
            if match is None:
                continue
            pairs.append(
                {
                    "left": left,
                    "right": right,
                    "probability": match.probability,
                    "similarity": match.similarity,
                    "reasons": [reason.text for reason in match.reasons],
                    "fingerprint": match.fingerprint,
                }
            )
            accepted.append(scene.view.suppressions.covers(match) is not None)
    return {
        "id": group.fingerprint,
        "probability": max((pair["probability"] for pair in pairs), default=group.probability),
        "members": [function_item(scene, member) for member in members],
        "pairs": pairs,
        "accepted": bool(accepted) and all(accepted),
    }


def clones_of(
    scene: Scene, function: Function, found: Sequence[Match] | None, limit: int
) -> protocol.FindClonesResult:
    """The answer to a query. With `found` None it is made of what the view reports already."""
    snapshot = scene.view.snapshot
    matches = snapshot.matches_of(function) if found is None else found
    return {
        "function": function_item(scene, function),
        "tooSmall": len(function.atoms) < scene.view.min_atoms,
        "complete": snapshot.complete,
        "matches": [match_item(scene, match) for match in matches[:limit]],
    }


def scan_of(scene: Scene, roots: Sequence[str]) -> protocol.ScanReport:
    """The report of a scan: groups with a member below `roots`, all of them without any. Takes its time.

    Each folder's own rules count: a pair is in if the folder of one of its sides wants to see it.
    """
    result = scene.view.result
    wanted = tuple(Folder(uri="", path=root, name="") for root in roots)
    groups = [
        group
        for group in result.groups
        if not wanted or any(folder_of(wanted, member.path) for member in group.members)
    ]
    narrowed = replace(result, groups=tuple(groups))
    groups_made = list(group_items(scene, narrowed))
    return scan_report(narrowed, groups_made, cancelled=not scene.view.snapshot.complete)


def scan_report(result: ScanResult, groups: list[protocol.GroupItem], *, cancelled: bool) -> protocol.ScanReport:
    return {
        "files": result.files,
        "functions": result.functions,
        "tooSmall": result.too_small,
        "truncated": result.truncated,
        "pairs": len(result.matches),
        "unverified": result.unverified,
        "groups": groups,
        "skipped": dict(result.skipped),
        "failures": [_failure(failure) for failure in result.failures],
        "threshold": result.threshold,
        "cancelled": cancelled,
    }


def model_item(info: ModelInfo, provider: str) -> protocol.ModelItem:
    return {
        "name": info.name,
        "kind": info.kind,
        "version": info.version,
        "digest": info.digest,
        "provider": provider,
    }


def pair_arguments(scene: Scene, match: Match) -> protocol.IgnorePairArguments:
    """What it takes to ignore or accept a pair."""
    return {
        "uri": scene.uri(match.left.path),
        "fingerprint": match.fingerprint,
        "left": label(match.left),
        "right": label(match.right),
    }


def _failure(failure: Failure) -> protocol.FailureItem:
    return {"path": failure.path, "stage": failure.stage, "message": failure.message}
