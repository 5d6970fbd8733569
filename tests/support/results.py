"""Results made by hand, for tests of what is done with results."""

from __future__ import annotations

from polyclone.values import CloneGroup, Failure, Function, Match, ModelInfo, Reason, ScanResult, Span

MODEL = ModelInfo(name="hand-made", kind="compact", version="1.0", digest="abcdef0123456789" * 4, dimension=8)


def function(path: str, language: str, name: str, line: int = 1, *, lines: int = 10, text: str = "") -> Function:
    """A function that starts at the 1-based `line`. Two of the same `text` have the same content."""
    span = Span(start_byte=100 * line, end_byte=100 * line + 50, start_line0=line - 1, end_line0=line + lines - 2)
    return Function(
        path=path,
        language=language,
        kind="function",
        name=name.rpartition(".")[2],
        qualified_name=name,
        signature="",
        doc="",
        span=span,
        name_span=None,
        body_span=span,
        normalised=text or f"i{name}",
    )


def match(left: Function, right: Function, probability: float, *reasons: str) -> Match:
    """A match whose reasons are written `kind: item, item`."""
    return Match(
        left=left,
        right=right,
        similarity=round(probability - 0.1, 4),
        probability=probability,
        reasons=tuple(_reason(text) for text in reasons),
    )


def _reason(text: str) -> Reason:
    kind, _, items = text.partition(": ")
    return Reason(kind=kind, text=f"same {text}", items=tuple(items.split(", ")), score=0.5)


CHECK = function("go/card.go", "go", "CheckCardNumber", 14, lines=3)
LUHN = function("py/card.py", "python", "Card.luhn", 3, lines=2)
PAN = function("ts/pan.ts", "typescript", "isPlausiblePan", 120, lines=2)
SLUG = function("rb/slug.rb", "ruby", "permalink", 7, lines=2)
SLUGIFY = function("ts/slug.ts", "typescript", "slugify", 5, lines=2)


def scan_result(**changes: object) -> ScanResult:
    """Two groups: one of three members, one of two."""
    values: dict[str, object] = {
        "model": MODEL,
        "files": 5,
        "functions": 12,
        "too_small": 3,
        "truncated": 1,
        "threshold": 0.8,
        "matches": (
            match(CHECK, PAN, 0.9971, "constants: 9, 19", "control_flow: for, if"),
            match(CHECK, LUHN, 0.95, "constants: 9"),
            match(LUHN, PAN, 0.91, "constants: 9"),
            match(SLUG, SLUGIFY, 0.85, "strings: -"),
        ),
        "groups": (
            CloneGroup(members=(CHECK, LUHN, PAN), probability=0.91),
            CloneGroup(members=(SLUG, SLUGIFY), probability=0.85),
        ),
        "skipped": {"vendored": 40, "generated": 2},
        "failures": (Failure(path="go/bad.go", stage="parse", message="took longer than 10 s"),),
        "root": "",
    }
    return ScanResult(**{**values, **changes})  # type: ignore[arg-type]
