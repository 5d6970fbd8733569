"""One encoder run from a prepared directory: `python -m polyclone_distill.trainer DATA OUT`, or carried alone.

The directory holds `train.npz`, `valid.npz`, `stand_ins.npz`, `ids.json` and `start.pt` (weights and sizes).
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .batches import BatchConfig, Sampler
from .loop import Run, TrainConfig, validate
from .model import Encoder, EncoderConfig
from .shards import Shard
from .views import ViewPolicy, Vocabulary

log = logging.getLogger(__name__)


def load_vocabulary(data: Path) -> Vocabulary:
    ids = json.loads((data / "ids.json").read_text("utf-8"))
    with np.load(data / "stand_ins.npz", allow_pickle=False) as arrays:
        return Vocabulary(
            pad=ids["pad"], cls=ids["cls"], sep=ids["sep"], name=ids["name"], size=ids["size"],
            stand_in_tokens=arrays["tokens"], stand_in_words=arrays["words"],
        )  # fmt: skip


def load_encoder(path: Path) -> Encoder:
    """An encoder from `{"config": sizes, "state": weights}`; weights may be half precision.

    A carried start has `lexicon_scale` (the norm of each row) in place of the lexicon's weights, which are
    Gaussian noise of that norm: they are drawn again.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    model = Encoder(EncoderConfig(**saved["config"]))
    if "lexicon_scale" in saved:
        noise = torch.randn(model.lexicon.weight.shape, generator=torch.Generator().manual_seed(0))
        unit = noise / noise.norm(dim=1, keepdim=True)
        saved["state"]["lexicon.weight"] = unit * saved["lexicon_scale"].float()[:, None]
    model.load_state_dict({name: value.float() for name, value in saved["state"].items()})
    return model


def pack(config: EncoderConfig, state: dict[str, Tensor]) -> dict[str, Any]:
    """What `load_encoder` reads, in half precision."""
    return {
        "config": dataclasses.asdict(config),
        "state": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
    }


def train_encoder(
    data: Path,
    out: Path,
    train: TrainConfig,
    batches: BatchConfig,
    *,
    weights: Path | None = None,
    validation_limit: int = 1200,
) -> Path:
    """Trains from `data` into `out`, resuming a checkpoint found there. Returns the path of the best weights.

    A new run starts from `weights`, which must have the vocabulary of `data`, or from its `start.pt`.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    vocabulary = load_vocabulary(data)
    shard, unseen = Shard.load(data / "train.npz"), Shard.load(data / "valid.npz")
    model = load_encoder(weights or data / "start.pt")
    if model.words.num_embeddings != vocabulary.size:
        raise ValueError(
            f"{weights} knows {model.words.num_embeddings} tokens and {data} has {vocabulary.size}: "
            "run `prepare --vocabulary` with the vocabulary that the weights were trained with."
        )
    torch.manual_seed(train.seed)
    run = Run(model, train, out, device)
    resumed = run.resume()
    manifest = {
        "train": dataclasses.asdict(train),
        "batches": dataclasses.asdict(batches),
        "encoder": dataclasses.asdict(model.config),
        "parameters": sum(p.numel() for p in model.parameters()),
        "units": len(shard),
        "device": str(device),
        "torch": torch.__version__,
    }
    (out / "run.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    log.info("%s at step %d of %d", "resumed" if resumed else "started", run.step, train.steps)
    sampler = Sampler(shard, vocabulary, batches, train.seed)
    run.train(
        sampler,
        lambda m: validate(m, unseen, vocabulary, batches.budget, validation_limit),
        export=lambda state: pack(model.config, state),
    )
    return out / "best.pt"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="trainer", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path, help="start from these instead of `start.pt`")
    parser.add_argument("--validation-limit", type=int, default=1200)
    add_options(parser)
    options = parser.parse_args(arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    train, batches = configs(options)
    more = {"weights": options.weights, "validation_limit": options.validation_limit}
    train_encoder(options.data, options.out, train, batches, **more)
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    """One option for every simple field of the configurations."""
    for config in (TrainConfig, BatchConfig, ViewPolicy):
        for field in dataclasses.fields(config):
            if not isinstance(field.default, int | float):
                continue
            flag = "--" + field.name.replace("_", "-")
            if isinstance(field.default, bool):
                parser.add_argument(flag, action=argparse.BooleanOptionalAction, default=field.default)
            else:
                parser.add_argument(flag, type=type(field.default), default=field.default)


def configs(options: argparse.Namespace) -> tuple[TrainConfig, BatchConfig]:
    given = vars(options)

    def fill(config: type[Any]) -> Any:
        return config(**{f.name: given[f.name] for f in dataclasses.fields(config) if f.name in given})

    return fill(TrainConfig), dataclasses.replace(fill(BatchConfig), policy=fill(ViewPolicy))
