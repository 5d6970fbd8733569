"""The values that travel from step to step. Frozen, without I/O, without behaviour beyond small properties.

Offsets are bytes and half-open, lines are 0-based; both are converted at the edge (reports, protocol).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

ATOM_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A half-open byte range and the 0-based lines of its first and last byte (both inclusive)."""

    start_byte: int
    end_byte: int
    start_line0: int
    end_line0: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file chosen for scanning. `path` is what people see (posix), `location` is where it is read."""

    path: str
    location: str
    language: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A comment `polyclone: ignore[reason]` that covers a function, or `ignore-file` that covers its file."""

    reason: str
    line0: int
    """Where the comment says so."""
    whole_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One unit: a function, method, constructor, named lambda, or a script's top level.

    `normalised` holds the atoms of `polyclone.normalise`, joined by `ATOM_SEPARATOR`; it alone (with the
    language) decides the function's identity, so moving or reformatting a function does not change it.
    """

    path: str
    language: str
    kind: str
    """One of `function`, `method`, `constructor`, `lambda`, `script`, `snippet`."""
    name: str
    qualified_name: str
    signature: str
    doc: str
    span: Span
    name_span: Span | None
    body_span: Span
    normalised: str
    ignored: Ignored | None = None
    """The comment that keeps the function out of reports. No part of its identity."""

    @property
    def atoms(self) -> list[str]:
        return self.normalised.split(ATOM_SEPARATOR) if self.normalised else []

    @property
    def digest(self) -> str:
        """Hex SHA-256 of language and normalised text: the content identity of the function."""
        return hashlib.sha256(f"{self.language}\0{self.normalised}".encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Expected trouble with one file. A scan goes on and reports it."""

    path: str
    stage: str
    """`read`, `parse`, `extract`, `suppress`, `encode` or `cache`."""
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """The functions of one file and what went wrong on the way. Both may be non-empty."""

    functions: tuple[Function, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pair proposed by the index. `left` and `right` are positions in the list of functions."""

    left: int
    right: int
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a pair is reported: a computed fact, e.g. kind `constants`, items `("1000000007", "31")`."""

    kind: str
    """`constants`, `calls`, `identifiers`, `control_flow`, `strings`, or `vectors` if nothing else is shared."""
    text: str
    items: tuple[str, ...] = ()
    score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A judged pair. `probability` is calibrated, `similarity` is the cosine of the two vectors."""

    left: Function
    right: Function
    similarity: float
    probability: float
    reasons: tuple[Reason, ...]

    @property
    def fingerprint(self) -> str:
        """See `pair_fingerprint`."""
        return pair_fingerprint(self.left, self.right)


def pair_fingerprint(one: Function, other: Function) -> str:
    """Content identity of a pair: independent of path, line and order. 32 hex digits."""
    low, high = sorted((one.digest, other.digest))
    return hashlib.sha256(f"{low}\0{high}".encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneGroup:
    """Functions every comparable pair of which was scored. `probability` is that of the weakest edge."""

    members: tuple[Function, ...]
    probability: float

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\0".join(sorted(f.digest for f in self.members)).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a result says about the model that made it."""

    name: str
    kind: str
    version: str
    digest: str
    dimension: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """Everything a report needs. Sorted, and identical for identical content, bundle and configuration."""

    model: ModelInfo
    files: int
    functions: int
    too_small: int
    """Functions with too few atoms to judge; they are counted among `functions`."""
    truncated: int
    """Functions longer than the token budget; their middle went unread by the dense channel."""
    threshold: float
    matches: tuple[Match, ...]
    groups: tuple[CloneGroup, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    root: str = ""
    unverified: int = 0
    """Candidate pairs of contents that the bundle's language model was to verify and had no time for."""
