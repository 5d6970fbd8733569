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
    bundle = commands.add_parser("bundle", help="export, round, prove parity, write")
    bundle.add_argument(
        "--encoder", type=Path, required=True, metavar="RUN", help="best.pt of an encoder, or folder of an LLM run"
    )
    bundle.add_argument("--data", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    bundle.add_argument("--pair-head", type=Path, metavar="RUN", help="without it the bundle is provisional")
    bundle.add_argument("--judge", type=Path, metavar="RUN", help="the folder of an LLM run with a binary head")
    bundle.add_argument("--out", type=Path, required=True, metavar="DIR")
    rounding = bundle.add_mutually_exclusive_group()
    rounding.add_argument("--int8", action=argparse.BooleanOptionalAction, default=True, help="default: on")
    rounding.add_argument("--int4", action="store_true", help="language models in blocks of 4 bits, in place of int8")
    bundle.add_argument("--fp16", action=argparse.BooleanOptionalAction, default=False, help="a graph for CUDA too")
    bundle.add_argument("--opset", type=int, default=20, metavar="N", help="default: 20")
    bundle.add_argument("--road", choices=("dynamo", "optimum", "both"), default="dynamo", help="of LLM students")
    bundle.add_argument("--name", metavar="NAME", help="default: polyclone-compact or polyclone-llm")
    bundle.add_argument("--bundle-version", default="1", metavar="TEXT", help="default: 1")
    bundle.add_argument("--metrics", type=Path, metavar="JSON", help="evaluation results for the manifest and card")
    bundle.set_defaults(run=_bundle)
    packed = commands.add_parser("pack", help="a bundle as one zip, the same bytes every time")
    packed.add_argument("bundle", type=Path, metavar="DIR")
    packed.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    packed.set_defaults(run=_pack)
    return parser


def _bundle(options: argparse.Namespace) -> int:
    from .bundle import Recipe, write_bundle

    recipe = Recipe(
        encoder=options.encoder,
        prepared=options.data,
        pair_head=options.pair_head,
        judge=options.judge,
        int8=options.int8,
        int4=options.int4,
        fp16=options.fp16,
        opset=options.opset,
        road=options.road,
        name=options.name,
        version=options.bundle_version,
        metrics=json.loads(options.metrics.read_text("utf-8")) if options.metrics else {},
    )
    manifest = write_bundle(recipe, options.out)
    size = sum(path.stat().st_size for path in options.out.iterdir())
    print(json.dumps({"name": manifest.name, "bytes": size, "parity": manifest.parity}, indent=1))
    return 0


def _pack(options: argparse.Namespace) -> int:
    from .pack import pack

    digest = pack(options.bundle, options.out)
    print(f"{digest}  {options.out}")
    return 0
