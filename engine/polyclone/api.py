"""The public Python API, a ladder: `load_model().encode` → `scan` → `Workspace`. Each rung adds one concern."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from polyclone.discover import DiscoverOptions
from polyclone.languages import resolve
from polyclone.model import Model, load_model
from polyclone.store import BlobStore
from polyclone.values import ScanResult
from polyclone.workspace import Options, Progress, Report, Workspace

__all__ = ["Model", "Options", "Progress", "Workspace", "default_jobs", "load_model", "scan"]


def default_jobs() -> int:
    """As many workers as there are processors this process may use."""
    return max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def scan(
    paths: Sequence[str | Path],
    *,
    model: Model | None = None,
    languages: Sequence[str] | None = None,
    min_probability: float | None = None,
    precision: float | None = None,
    same_language: bool = False,
    jobs: int | None = None,
    store: BlobStore | None = None,
    options: Options | None = None,
    report: Report | None = None,
) -> ScanResult:
    """All cross-language clones among the source files under `paths`.

    `languages` limits the scan to some (any alias). `min_probability` or `precision` set the threshold; the
    bundle has a default. `store` keeps what was computed for the next scan. `options` replaces all of these
    but `model`, `store` and `report`. Raises `UsageError` for a path or language that does not exist and
    `ModelError` for a bundle that cannot be used; trouble with single files is in the result's `failures`.
    """
    workers = default_jobs() if jobs is None else jobs
    if options is None:
        wanted = frozenset(resolve(name).name for name in languages) if languages else None
        options = Options(
            min_probability=min_probability,
            precision=precision,
            same_language=same_language,
            jobs=workers,
            discover=DiscoverOptions(languages=wanted),
        )
    workspace = Workspace(model or load_model(threads=options.jobs), options=options, store=store)
    workspace.open(paths, report)
    return workspace.result(report)
