"""`polyclone-distill train llm`: options → one run → one line of JSON."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyclone.errors import UsageError

if TYPE_CHECKING:
    from .options import TrainOptions


def add_parser(parts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds `llm` below `train`."""
    parser = parts.add_parser("llm", help="a language-model student with a generate, binary or contrastive head")
    parser.add_argument("--student", required=True, metavar="NAME",
                        help="a hub name such as Qwen/Qwen2.5-Coder-1.5B-Instruct, or a folder")  # fmt: skip
    parser.add_argument("--head", required=True, choices=("generate", "binary", "contrastive"))
    parser.add_argument("--pairs", type=Path, required=True, metavar="JSONL")
    parser.add_argument("--valid", type=Path, metavar="JSONL", help="calibrates binary and contrastive heads")
    parser.add_argument("--traces", type=Path, metavar="JSONL", help="what `traces` wrote; for --head generate")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the run; an unfinished one is resumed"
    )
    add_training_options(parser)
    parser.set_defaults(run=run)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """What `train llm` and `study scaling` share."""
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N training pairs")
    parser.add_argument("--tune", default="lora", help="lora, full, or head (the body frozen)")
    parser.add_argument("--lora-r", type=int, default=16)
    parser.add_argument("--lora-alpha", type=int, default=32)
    parser.add_argument("--lora-dropout", type=float, default=0.05)
    parser.add_argument("--lora-targets", nargs="+", default=["all-linear"], metavar="MODULE")
    parser.add_argument("--four-bit", action="store_true", help="NF4 base; needs bitsandbytes and a GPU")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    parser.add_argument("--epochs", type=float, default=5.0)
    parser.add_argument("--batch", type=int, default=8, help="examples of a step, over all GPUs")
    parser.add_argument(
        "--micro-batch", type=int, default=0, help="examples at a time on a GPU; 0 for the whole batch"
    )
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--warmup", type=float, default=0.1)
    parser.add_argument("--tokens-per-side", type=int, default=1024)
    parser.add_argument("--answer-tokens", type=int, default=1024, help="longer answers are left out and counted")
    parser.add_argument("--target", default="full", help="full, reasoning, conclusion, simple")
    parser.add_argument("--correctness", default="any", help="traces: any, correct, incorrect")
    parser.add_argument("--layout", default="joint", help="binary: joint, or sides")
    parser.add_argument("--dimension", type=int, default=256, help="contrastive: length of the vectors")
    parser.add_argument("--temperature", type=float, default=0.07, help="contrastive")
    parser.add_argument("--loss", default="sides", help="contrastive: sides, or pair (the paper's pair vectors)")
    parser.add_argument("--order", default="shuffled", help="shuffled, or easy-first")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--threads", type=int, help="of torch on the CPU")


def training_options(options: argparse.Namespace, **more: Any) -> TrainOptions:
    """The command line as `TrainOptions`; `UsageError` for what makes no sense."""
    from .options import LoraOptions, TrainOptions

    names = ("tune", "four_bit", "bf16", "gradient_checkpointing", "epochs", "batch", "micro_batch", "learning_rate",
             "warmup", "tokens_per_side", "answer_tokens", "target", "correctness", "layout", "dimension",
             "temperature", "loss", "order", "seed", "save_every")  # fmt: skip
    lora = LoraOptions(
        r=options.lora_r,
        alpha=options.lora_alpha,
        dropout=options.lora_dropout,
        targets=tuple(options.lora_targets),
    )
    given: dict[str, Any] = {name: getattr(options, name) for name in names}
    return TrainOptions(**{**given, "student": options.student, "head": options.head, "lora": lora, **more})


def check_inputs(options: argparse.Namespace) -> None:
    """`UsageError` if a head lacks the data it cannot do without."""
    if options.head == "generate" and options.traces is None and options.target != "simple":
        raise UsageError("--head generate learns from a teacher: give --traces, or --target simple to do without.")
    if options.head == "contrastive" and options.loss == "sides" and options.valid is None:
        raise UsageError("--head contrastive needs --valid: from which cosine on a pair is a clone must be measured.")


def run(options: argparse.Namespace) -> int:
    """Effect: trains or resumes the run in `--out`."""
    from ..pairs.jsonl import read_pairs
    from ..traces.report import read_traces
    from .train import train_student

    chosen = training_options(options)
    set_threads(options.threads)
    check_inputs(options)
    pairs = read_pairs(options.pairs, options.limit)
    valid = read_pairs(options.valid) if options.valid else []
    traces = read_traces(options.traces) if options.traces else {}
    record = train_student(pairs, valid, traces, chosen, options.out)
    print(json.dumps({"run": str(options.out), "counts": dict(record.counts), "metrics": dict(record.metrics)}))
    return 0


def set_threads(threads: int | None) -> None:
    """Effect: torch uses so many threads; None leaves it."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
