"""One encoder of several that were trained apart on the same data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .architecture import EncoderConfig
from .errors import TrainerError
from .model import Encoder

MINILM = "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)"


def join(encoders: Sequence[Encoder], shares: Sequence[float]) -> Encoder:
    """One encoder of several: dense channels side by side, the cosine of each counting by its share.

    The lexical channel is that of the first. `TrainerError` if they read other tokens, are fewer than two, or if the
    shares, one each, are not positive or do not add up to one.
    """
    configs = [encoder.config for encoder in encoders]
    if len(configs) < 2 or len(shares) != len(configs) or min(shares) <= 0.0 or abs(sum(shares) - 1.0) > 1e-6:
        raise TrainerError(
            f"{len(configs)} encoders with the shares {', '.join(f'{share:g}' for share in shares)}: an ensemble"
            " takes two or more, and as many positive shares, which add up to one."
        )
    if any(config.members for config in configs):
        raise TrainerError("an ensemble cannot be a member of another; give the encoders that it was made of.")
    if len({(config.vocabulary, config.lexicon) for config in configs}) > 1:
        raise TrainerError("the members of an ensemble must read the same tokens; train them on the same data.")
    first = encoders[0]
    joined = Encoder(
        EncoderConfig(
            vocabulary=configs[0].vocabulary,
            lexicon=configs[0].lexicon,
            width=sum(config.width for config in configs),
            lexical_width=configs[0].lexical_width,
            lexical_share=configs[0].lexical_share,
            lexicon_rows=configs[0].lexicon_rows,
            architecture="ensemble",
            members=tuple(configs),
            shares=tuple(shares),
        )
    )
    state = {"share": first.share, "lexicon.weight": first.lexicon.weight}
    for number, encoder in enumerate(encoders):
        state |= {f"body.members.{number}.{name}": value for name, value in encoder.body.state_dict().items()}
    joined.load_state_dict(state)
    return joined


def member_record(paths: Sequence[Path], encoders: Sequence[Encoder], shares: Sequence[float]) -> dict[str, Any]:
    """What stands beside the weights of an ensemble: its members' files, their shares, what they started from."""
    starts = [
        describe_start(path, encoder.config.architecture) for path, encoder in zip(paths, encoders, strict=True)
    ]
    return {"members": [str(path) for path in paths], "shares": list(shares), "starts": starts}


def describe_start(path: Path, architecture: str) -> str:
    """What the weights at `path` were before they were trained: from the record beside them."""
    if architecture == "minilm":
        return MINILM
    if architecture == "ensemble":
        beside = path.with_suffix(".json")
        starts = json.loads(beside.read_text("utf-8"))["starts"] if beside.exists() else ["not recorded"]
        return "; beside it ".join(starts)
    record = path.with_name("run.json")
    if not record.exists():
        return "not recorded"
    start = json.loads(record.read_text("utf-8"))["start"]
    known = {
        "tables": f"random weights, but for a token table of the principal components of that of {MINILM}",
        "random": "random weights",
    }
    return known.get(start, f"the weights of another run ({start})")
