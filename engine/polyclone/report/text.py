"""The report people read: groups first, then what was left out and why, then threshold and model."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from polyclone.report.canvas import Canvas, Part
from polyclone.report.source import Excerpt, side_by_side
from polyclone.report.wording import count, language, languages, printable, probability, skipped, suppressed_by
from polyclone.suppress import Account, Unused
from polyclone.values import CloneGroup, Failure, Function, Match, ModelInfo, ScanResult

MAX_FAILURES = 10
"""Rows of a list of trouble that are shown unless all are wanted; the others are counted."""
_INDENT = "      "


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOptions:
    """How a report looks. `place` turns a result's path into one that can be clicked where it is read."""

    width: int = 120
    color: bool = False
    place: Callable[[str], str] = str
    code: Callable[[Function], str | None] | None = None
    """Reads a function's source for the side-by-side view; None for no such view."""
    max_groups: int | None = None
    all_failures: bool = False


PLAIN = TextOptions()


def render(result: ScanResult, options: TextOptions = PLAIN, account: Account | None = None) -> str:
    """The whole report of a scan. `account` says what was left out of `result`; None if nothing was to be."""
    canvas = Canvas(width=options.width, color=options.color)
    within, alone = _sorted_out(result)
    shown = result.groups[: options.max_groups]
    for number, group in enumerate(shown):
        _group(canvas, group, within[number], options)
    if len(shown) < len(result.groups):
        more = count(len(result.groups) - len(shown), "more group")
        canvas.line((f"… and {more}, left out by --max-groups {options.max_groups}", "yellow"))
        canvas.line()
    if alone:
        canvas.line(("Pairs that fit into no group, because the other members of either are not alike", "bold"))
        for match in alone:
            _pair(canvas, match, options)
        canvas.line()
    _summary(canvas, result, options, account)
    return canvas.text()


def render_query(
    target: Function,
    matches: Sequence[Match],
    *,
    threshold: float,
    model: ModelInfo,
    options: TextOptions = PLAIN,
) -> str:
    """The ranked matches of one function, those below the threshold marked as such. `Match.left` is the target."""
    canvas = Canvas(width=options.width, color=options.color)
    named = printable(target.qualified_name)
    at = f"  {_place(target, options)}" if target.path else ""
    canvas.line(("Functions that do the same as ", ""), (named, "bold"), (f" ({language(target.language)})", ""), at)
    canvas.line()
    if not matches:
        canvas.line("Nothing comparable was found.")
        canvas.line()
    for match in matches:
        below = match.probability < threshold
        canvas.line(
            "  ",
            (probability(match.probability), "dim" if below else "bold green"),
            "  ",
            (_place(match.right, options), "dim" if below else "cyan"),
            "  ",
            (printable(match.right.qualified_name), "dim" if below else "bold"),
            (f"  {language(match.right.language)}", "dim"),
            ("  below the threshold" if below else "", "yellow"),
        )
        for reason in match.reasons:
            canvas.line(_INDENT + "  ", (printable(reason.text), "dim"))
        if options.code is not None and not below:
            _columns(canvas, [target, match.right], options)
    if matches:
        canvas.line()
    canvas.line((_origin(threshold, model), "dim"))
    return canvas.text()


def _group(canvas: Canvas, group: CloneGroup, pairs: Sequence[Match], options: TextOptions) -> None:
    canvas.line((probability(group.probability), "bold green"), "  ", (languages(group.members), "bold"))
    _members(canvas, group.members, options)
    if pairs:
        strongest = max(pairs, key=lambda match: match.probability)
        which = f" ({languages((strongest.left, strongest.right))})" if len(group.members) > 2 else ""
        for reason in strongest.reasons:
            canvas.line(_INDENT, (f"{printable(reason.text)}{which}", "dim"))
    if options.code is not None:
        _columns(canvas, _distinct(group.members), options)
    canvas.line()


def _pair(canvas: Canvas, match: Match, options: TextOptions) -> None:
    both = (match.left, match.right)
    canvas.line((probability(match.probability), "green"), "  ", languages(both))
    _members(canvas, both, options)
    for reason in match.reasons:
        canvas.line(_INDENT, (printable(reason.text), "dim"))
    if options.code is not None:
        _columns(canvas, both, options)


def _members(canvas: Canvas, members: Sequence[Function], options: TextOptions) -> None:
    places = [_place(member, options) for member in members]
    width = min(max(map(len, places)), 64)
    for place, member in zip(places, members, strict=True):
        canvas.line(_INDENT, (place, "cyan"), " " * (width - len(place) + 2), printable(member.qualified_name))


def _columns(canvas: Canvas, functions: Sequence[Function], options: TextOptions) -> None:
    assert options.code is not None
    excerpts = [
        Excerpt(
            title=f"{_place(function, options)}  {function.qualified_name}" if function.path else "the snippet",
            language=function.language,
            first_line=function.span.start_line0 + 1,
            code=options.code(function),
        )
        for function in functions
    ]
    for table in side_by_side(excerpts, width=options.width):
        canvas.draw(table)


def _summary(canvas: Canvas, result: ScanResult, options: TextOptions, account: Account | None) -> None:
    scanned = f"{count(result.functions, 'function')} in {count(result.files, 'file')}"
    if result.matches:
        found = f"{count(len(result.groups), 'group')}, {count(len(result.matches), 'pair')}"
        canvas.line((found, "bold"), f" among {scanned}")
        between = Counter(languages((match.left, match.right)) for match in result.matches)
        for names, number in sorted(between.items(), key=lambda item: (-item[1], item[0])):
            canvas.line(f"{number:6,}  {names}")
    else:
        canvas.line(("No clones found", "bold"), f" among {scanned}")
    if account is not None:
        _left_out(canvas, account, options)
    if result.too_small:
        canvas.line(f"Too small to judge: {count(result.too_small, 'function')}")
    if result.truncated:
        canvas.line(
            f"Longer than the model reads: {count(result.truncated, 'function')}, judged without their middle"
        )
    if result.unverified:
        canvas.line(f"Not verified by the language model: {count(result.unverified, 'pair')}; its time was up")
    if result.skipped:
        reasons = ", ".join(f"{skipped(reason)} {number:,}" for reason, number in sorted(result.skipped.items()))
        canvas.line(f"Skipped: {count(sum(result.skipped.values()), 'file')} ({reasons})")
    _failures(canvas, result.failures, options)
    canvas.line((_origin(result.threshold, result.model), "dim"))


def _left_out(canvas: Canvas, account: Account, options: TextOptions) -> None:
    """What was suppressed, by what, and the suppressions that have no effect."""
    if account.total:
        by_source = ", ".join(f"{suppressed_by(source)} {n:,}" for source, n in account.pairs.items() if n)
        canvas.line(f"Left out: {count(account.total, 'pair')} ({by_source})")
        _listed(canvas, [(f"{n:6,}  {printable(reason)}",) for _, reason, n in account.reasons if reason], options)
    if account.unused:
        canvas.line((f"Without effect: {count(len(account.unused), 'suppression')}", "yellow"))
        _listed(canvas, [_unused(unused, options) for unused in account.unused], options)
    if account.problems:
        canvas.line((f"Not understood: {count(len(account.problems), 'line')} of suppression files", "yellow"))
        places = [(f"{problem.path}:{problem.line0 + 1}", problem.message) for problem in account.problems]
        rows = [("  ", (printable(place), "cyan"), f"  {printable(message)}") for place, message in places]
        _listed(canvas, rows, options)


def _unused(unused: Unused, options: TextOptions) -> tuple[Part, ...]:
    path = options.place(unused.path) if unused.source == "comment" else unused.path
    return "  ", (printable(f"{path}:{unused.line0 + 1}"), "cyan"), f"  {printable(unused.text)}"


def _listed(canvas: Canvas, rows: Sequence[tuple[Part, ...]], options: TextOptions) -> None:
    """The first rows, and how many more there are."""
    shown = rows if options.all_failures else rows[:MAX_FAILURES]
    for row in shown:
        canvas.line(*row)
    if len(shown) < len(rows):
        canvas.line(f"  … and {len(rows) - len(shown):,} more; -v lists them all")


def _failures(canvas: Canvas, failures: Sequence[Failure], options: TextOptions) -> None:
    if not failures:
        return
    canvas.line((f"Trouble: {count(len(failures), 'failure')}", "yellow"))
    rows = [
        ("  ", (printable(options.place(f.path)), "cyan"), f"  {f.stage}: {printable(f.message)}") for f in failures
    ]
    _listed(canvas, rows, options)


def _origin(threshold: float, model: ModelInfo) -> str:
    # `printable`, because a bundle from elsewhere names itself.
    name = printable(f"{model.name} {model.version}")
    return f"Reported from p = {json.dumps(round(threshold, 4))}. Model {name} ({model.digest[:12]})"


def _sorted_out(result: ScanResult) -> tuple[defaultdict[int, list[Match]], list[Match]]:
    """The matches within each group, by the group's position; and those whose two ends share no group."""
    groups_of: defaultdict[Function, set[int]] = defaultdict(set)
    for number, group in enumerate(result.groups):
        for member in group.members:
            groups_of[member].add(number)
    within: defaultdict[int, list[Match]] = defaultdict(list)
    alone: list[Match] = []
    for match in result.matches:
        shared = groups_of[match.left] & groups_of[match.right]
        for number in shared:
            within[number].append(match)
        if not shared:
            alone.append(match)
    return within, alone


def _distinct(members: Sequence[Function]) -> list[Function]:
    """One of each content: copies look the same."""
    return list({member.digest: member for member in reversed(members)}.values())[::-1]


def _place(function: Function, options: TextOptions) -> str:
    return f"{printable(options.place(function.path))}:{function.span.start_line0 + 1}"
