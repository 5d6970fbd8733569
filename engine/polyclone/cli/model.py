"""`polyclone model info|verify`: what a bundle says of itself, and whether it holds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from polyclone.api import Model, load_model
from polyclone.artifact import Bundle
from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal
from polyclone.errors import ModelError
from polyclone.report.wording import language, printable

_TRIAL = (
    (
        "def total(prices):\n    amount = 0\n    for price in prices:\n        amount += price\n    return amount",
        "python",
    ),
    ("func Sum(xs []int) int {\n\tacc := 0\n\tfor _, x := range xs {\n\t\tacc += x\n\t}\n\treturn acc\n}", "go"),
)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the whole bundle and checks its digests; prints."""
    model = load_model(arguments.model, device=arguments.device)
    if arguments.action == "info":
        rows = list(_rows(model))
        width = max(len(name) for name, _ in rows)
        terminal.emit("".join(f"{name:{width}}  {printable(value)}\n" for name, value in rows))
        return Exit.OK
    _try(model)
    manifest = model.bundle.manifest
    terminal.emit(
        f"{printable(manifest.name)} {printable(manifest.version)} is sound: {len(manifest.files)} files match their"
        f" digests, it encodes and it judges\n"
    )
    return Exit.OK


def _rows(model: Model) -> Iterator[tuple[str, str]]:
    bundle = model.bundle
    manifest = bundle.manifest
    calibration = manifest.calibration
    yield "name", manifest.name
    yield "version", manifest.version
    yield "kind", manifest.kind
    yield "location", bundle.location
    yield "digest", bundle.digest
    yield "size", f"{_size(bundle) / 1e6:.1f} MB in {len(manifest.files)} files"
    yield "provider", model.provider
    yield "vector", f"{manifest.dimension} dimensions, {manifest.dense_width} of them dense"
    yield "token budget", f"{manifest.token_budget} a function"
    yield "too small", f"fewer than {manifest.min_atoms} atoms"
    yield "languages", ", ".join(map(language, manifest.languages))
    for precision, least in calibration.precisions:
        default = " (default)" if precision == calibration.default_precision else ""
        yield f"precision {precision:g}", f"from p = {least:.4f}{default}"
    for name, values in (("metrics", manifest.metrics), ("parity", manifest.parity), ("training", manifest.training)):
        yield from _flat(name, values)


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Nested values as dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}", inner)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if any(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, 1):
                yield from _flat(f"{name}.{number}", item)
        else:
            yield name, ", ".join(map(str, value))
    else:
        yield name, str(value)


def _size(bundle: Bundle) -> int:
    return sum(len(bundle.read(name)) for name in bundle.manifest.files)


def _try(model: Model) -> None:
    """Run both graphs once. Raises `ModelError` if what comes out cannot be right."""
    vectors = model.encode(_TRIAL)
    if vectors.shape != (len(_TRIAL), model.info.dimension):
        raise ModelError(f"{model.bundle.location}: the encoder gives vectors of another shape than promised.")
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        raise ModelError(f"{model.bundle.location}: the encoder's vectors are not of unit length.")
    one, other = _TRIAL
    forth, back = model.pair_probability([one, other], [other, one]).tolist()
    if not 0.0 <= forth <= 1.0 or forth != back:
        raise ModelError(f"{model.bundle.location}: the pair head gives {forth} one way and {back} the other.")
