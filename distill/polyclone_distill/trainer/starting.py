"""Where a run starts: weights from a file, cut to size where an architecture differs, drawn where it has none."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .architecture import EncoderConfig
from .errors import TrainerError
from .model import Encoder, upgrade_state


def pack(config: EncoderConfig, state: dict[str, Tensor]) -> dict[str, Any]:
    """What `load_encoder` reads, in half precision. Architecture and sizes are in `config`."""
    return {
        "config": dataclasses.asdict(config),
        "state": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
    }


def load_encoder(path: Path) -> Encoder:
    """An encoder from `{"config": sizes, "state": weights}`; weights may be half precision.

    A carried start has `lexicon_scale` (the norm of each row) in place of the lexicon's weights, which are
    Gaussian noise of that norm: they are drawn again. Files from before there were several architectures load too.
    """
    saved = _read(path)
    model = Encoder(EncoderConfig.of(saved["config"]))
    if "lexicon_scale" in saved:
        saved["state"]["lexicon.weight"] = noise_rows(saved["lexicon_scale"].float(), model.config.lexical_width)
    model.load_state_dict({name: value.float() for name, value in upgrade_state(saved["state"]).items()})
    return model


def mean_state(states: Sequence[Mapping[str, Tensor]], shares: Sequence[float]) -> dict[str, Tensor]:
    """Σ wᵢ·θᵢ / Σ wᵢ, weight by weight (model soups, Wortsman et al. 2022); what is no float is that of the first."""
    whole = sum(shares)
    return {
        name: torch.stack([s[name] * (w / whole) for s, w in zip(states, shares, strict=True)]).sum(0)
        if value.is_floating_point()
        else value
        for name, value in states[0].items()
    }


def noise_rows(norms: Tensor, width: int) -> Tensor:
    """norms (n,) → (n, width): Gaussian directions with these norms, the same in every call."""
    noise = torch.randn((len(norms), width), generator=torch.Generator().manual_seed(0))
    scaled: Tensor = noise / noise.norm(dim=1, keepdim=True) * norms[:, None]
    return scaled


def start_student(data: Path, sizes: Mapping[str, Any], start: str, seed: int) -> Encoder:
    """A new encoder for the vocabularies of `data`. See `Recipe.start` for what `start` means."""
    pretrained = load_encoder(data / "start.pt")
    try:
        config = dataclasses.replace(pretrained.config, **sizes)
    except TypeError as error:
        known = ", ".join(f.name for f in dataclasses.fields(EncoderConfig))
        raise TrainerError(f"[encoder] has a field that encoders lack ({error}); known are {known}.") from error
    if start == "minilm":
        return _cut_layers(pretrained, config)
    torch.manual_seed(seed)
    model = Encoder(config)
    if start == "tables":
        _take_tables(model, pretrained)
    return model


def _cut_layers(pretrained: Encoder, config: EncoderConfig) -> Encoder:
    """The pretrained encoder with `config.layers` of its blocks, evenly chosen, the first and the last among them."""
    given = pretrained.config
    free = {"layers", "lexical_share", "dropout"}
    changed = [
        f.name
        for f in dataclasses.fields(config)
        if f.name not in free and getattr(config, f.name) != getattr(given, f.name)
    ]
    if changed or config.layers > given.layers:
        what = ", ".join(changed) or f"layers: {config.layers} of {given.layers}"
        raise TrainerError(f'the pretrained start has other sizes ({what}); set start = "tables" or "random".')
    model = Encoder(config)
    kept = [round(i * (given.layers - 1) / max(1, config.layers - 1)) for i in range(config.layers)]
    state = pretrained.state_dict()
    blocks = {
        f"body.blocks.{new}.{name.split('.', 3)[3]}": value
        for new, old in enumerate(kept)
        for name, value in state.items()
        if name.startswith(f"body.blocks.{old}.")
    }
    rest = {name: value for name, value in state.items() if not name.startswith("body.blocks.")}
    model.load_state_dict({**rest, **blocks, "share": model.share})
    return model


def _take_tables(model: Encoder, pretrained: Encoder) -> None:
    """Effect: token embedding ← principal components of the pretrained one; lexicon ← noise of its rows' norms."""
    given = pretrained.state_dict()
    scale = given["lexicon.weight"].norm(dim=1)
    rows = model.lexicon.weight
    folded = model.rows(torch.arange(len(scale)))
    sharing = torch.bincount(folded, minlength=len(rows)).clamp(min=1)
    norms = torch.zeros(len(rows)).index_add_(0, folded, scale) / sharing
    with torch.no_grad():
        rows.copy_(noise_rows(norms, rows.shape[1]))
        name = "words" if model.config.architecture == "minilm" else "tokens.table"
        table = model.body.get_parameter(f"{name}.weight")
        table.copy_(principal(given["body.words.weight"], table))


def principal(source: Tensor, target: Tensor) -> Tensor:
    """source (v, a) → (v, b) as `target` is: leading principal components at the spread of `target`.

    Where the target is wider than the source, the other columns keep what `target` holds.
    """
    centred = source - source.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    kept = min(source.shape[1], target.shape[1])
    components = centred @ vectors.flip(1)[:, :kept]
    out = target.detach().clone()
    spread = float(target.detach().pow(2).mean().sqrt())
    out[:, :kept] = components / components.pow(2).mean().sqrt().clamp(min=1e-6) * spread
    return out


def _read(path: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainerError(f"{path}: {error.strerror}; give the `best.pt` of a run, or run `prepare`.") from error
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise TrainerError(f"{path} holds no weights, or damaged ones; give the `best.pt` of a run.") from error
    if not isinstance(saved, dict) or not {"config", "state"} <= set(saved):
        raise TrainerError(f"{path} holds no encoder; give the `best.pt` of a run.")
    return saved
