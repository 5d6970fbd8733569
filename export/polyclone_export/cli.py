"""`polyclone-export`: parse → call → report."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from polyclone.errors import PolycloneError


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with one line that says what to do."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PolycloneError as error:
        print(f"polyclone-export: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(
            f"polyclone-export: {error.name} is not installed: pip install torch, then 'polyclone[distill,export]'.",
            file=sys.stderr,
        )
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="polyclone-export", description="Trained students → ONNX bundles.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    bundle = commands.add_parser("bundle", help="export, quantise, prove parity, write")
    bundle.add_argument("--encoder", type=Path, required=True, metavar="FILE", help="best.pt of an encoder run")
    bundle.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    bundle.add_argument("--pair-head", type=Path, metavar="FILE", help="without it the bundle is provisional")
    bundle.add_argument("--out", type=Path, required=True, metavar="DIR")
    bundle.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True)
    bundle.add_argument("--metrics", type=Path, metavar="JSON", help="evaluation results for the manifest and card")
    bundle.set_defaults(run=_bundle)
    return parser


def _bundle(options: argparse.Namespace) -> int:
    from .bundle import write_bundle

    metrics = json.loads(options.metrics.read_text("utf-8")) if options.metrics else None
    manifest = write_bundle(
        options.encoder,
        options.data,
        options.out,
        pair_head_path=options.pair_head,
        int8=options.int8,
        metrics=metrics,
    )
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(json.dumps({"name": manifest.name, "bytes": size, "parity": manifest.parity}, indent=1))
    return 0
