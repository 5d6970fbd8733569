"""`polyclone-distill evaluate mutants|controls`: does a system see what code does, or only what it looks like?"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from .model import Model
    from .pool import Pool

#: Title, data for JSON, text, results.
Measured: TypeAlias = "tuple[str, Mapping[str, Any], str, Any]"
Parser: TypeAlias = argparse.ArgumentParser


def add_parsers(parts: argparse._SubParsersAction[Parser], add_options: Callable[[Parser], None]) -> None:
    """Adds `mutants` and `controls` below `evaluate`; `add_options` adds what the parts on programs share."""
    mutants = parts.add_parser("mutants", help="clones with one change of behaviour: are they still called clones?")
    mutants.add_argument("parquet", type=Path, help="columns task, split, language, source, license, path, code")
    mutants.add_argument("--pairs", type=int, default=2000, help="half of them clones, half retrieved others")
    mutants.add_argument("--threshold", type=float, help="call it a clone from here on; without it the bundle's own")
    add_options(mutants)
    mutants.set_defaults(measure=_mutants, unit="function", views=["visible"])
    controls = parts.add_parser("controls", help="retrieval on shuffled code and on boilerplate: should be chance")
    controls.add_argument("parquet", type=Path, help="columns task, split, language, source, license, path, code")
    add_options(controls)
    controls.set_defaults(measure=_controls)


def _loaded(options: argparse.Namespace) -> tuple[Model | None, float, Pool]:
    from . import command
    from .pool import load_pool

    model, threshold = command.load(options)
    return model, threshold, load_pool(options.parquet, command.pool_options(options))


def _mutants(options: argparse.Namespace) -> Measured:
    from . import command
    from .behaviour_report import mutants_text
    from .mutants import evaluate_mutants
    from .pair_source import SampleOptions, sample_pairs

    model, own, pool = _loaded(options)
    threshold = own if options.threshold is None else options.threshold
    pairs = sample_pairs(pool, SampleOptions(pairs=options.pairs, hard_share=1.0, seed=options.seed))
    results = evaluate_mutants(
        pairs, model, views=options.views, threshold=threshold, resamples=options.resamples, seed=options.seed
    )
    title, data = command.describe("mutants", [options.parquet], pairs.counts, options, model, "tasks")
    return title, {**data, "threshold": threshold}, mutants_text(results), results


def _controls(options: argparse.Namespace) -> Measured:
    from . import command
    from .behaviour_report import controls_text
    from .controls import evaluate_controls

    model, _, pool = _loaded(options)
    results = evaluate_controls(pool, model, views=options.views, resamples=options.resamples, seed=options.seed)
    title, data = command.describe("controls", [options.parquet], pool.counts, options, model, "tasks")
    return title, data, controls_text(results), results
