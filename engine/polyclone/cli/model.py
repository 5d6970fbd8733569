"""`polyclone model info|verify|bench|install`: what a bundle says of itself, whether it holds, and how fast it is."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from polyclone.api import Model, load_model
from polyclone.artifact import ENCODER, Bundle, Manifest
from polyclone.cli.exits import Exit
from polyclone.cli.terminal import Terminal
from polyclone.encode.judge import PairJudge
from polyclone.encode.runtime import CPU, installed
from polyclone.errors import ModelError
from polyclone.extract import extract_snippet
from polyclone.install import check_contents
from polyclone.report.wording import language, printable

_TRIAL = (
    (
        "def total(prices):\n    amount = 0\n    for price in prices:\n        amount += price\n    return amount",
        "python",
    ),
    ("func Sum(xs []int) int {\n\tacc := 0\n\tfor _, x := range xs {\n\t\tacc += x\n\t}\n\treturn acc\n}", "go"),
)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Effect: reads the whole bundle and checks its digests; prints. `install` writes a folder."""
    if arguments.action == "install":
        return _install(arguments, terminal)
    model = load_model(arguments.model, device=arguments.device)
    if arguments.action == "info":
        _table(_rows(model, arguments.device), terminal)
        return Exit.OK
    if arguments.action == "bench":
        from polyclone.bench import bench

        _table(bench(model, arguments.functions), terminal)
        return Exit.OK
    check_contents(model.bundle, model.bundle.manifest.files)
    _try(model)
    manifest = model.bundle.manifest
    terminal.emit(
        f"{printable(manifest.name)} {printable(manifest.version)} is sound: {len(manifest.files)} files match their"
        f" digests, it encodes and it judges\n"
    )
    return Exit.OK


def _install(arguments: argparse.Namespace, terminal: Terminal) -> int:
    from polyclone.install import install

    done = install(
        arguments.file, into=arguments.into, signature=arguments.signature, public_key=arguments.public_key
    )
    manifest = done.bundle.manifest
    said = "was there already" if done.already else "is installed"
    terminal.emit(f"{printable(manifest.name)} {printable(manifest.version)} {said}: --model {done.path}\n")
    if done.signed is None:
        terminal.say(f"no signature was checked; SHA-256 of the file: {done.sha256}")
    else:
        terminal.say(f"signed: {done.signed}")
    return Exit.OK


def _table(rows: Iterator[tuple[str, str]], terminal: Terminal) -> None:
    held = list(rows)
    width = max(len(name) for name, _ in held)
    terminal.emit("".join(f"{name:{width}}  {printable(value)}\n" for name, value in held))


def _rows(model: Model, asked: str) -> Iterator[tuple[str, str]]:
    bundle = model.bundle
    manifest = bundle.manifest
    calibration = manifest.calibration
    yield "name", manifest.name
    yield "version", manifest.version
    yield "kind", manifest.kind
    yield "location", bundle.location
    yield "digest", bundle.digest
    yield "size", f"{_size(bundle) / 1e6:.1f} MB in {len(manifest.files)} files"
    yield "provider", model.provider + (" (cuda was asked for)" if asked == "cuda" and model.provider == CPU else "")
    yield "runtime", ", ".join(f"{name} {version}" for name, version in installed().items()) or "not from a package"
    yield "encoder", bundle.graph_name(ENCODER)
    if manifest.llm is not None:
        yield "language model", f"encoder: {manifest.llm.encoder}, prompts of version {manifest.llm.prompt_version}"
        judge = manifest.llm.judge
        if judge is not None:
            worth = f"from p = {judge.least_probability:g} on"
            said = f"reads a pair as {judge.layout}, {judge.token_budget} tokens, {worth}"
            yield "judge", said
    yield "vector", f"{manifest.dimension} dimensions, {manifest.dense_width} of them dense"
    yield "token budget", _budget(manifest)
    yield "too small", f"fewer than {manifest.min_atoms} atoms"
    yield "languages", ", ".join(map(language, manifest.languages))
    for precision, least in calibration.precisions:
        default = " (default)" if precision == calibration.default_precision else ""
        yield f"precision {precision:g}", f"from p = {least:.4f}{default}"
    if calibration.unsure is not None:
        low, high = calibration.unsure
        yield "unsure", f"from p = {low:.4f} to {high:.4f}" if low < high else "at no probability"
    for name, values in (("metrics", manifest.metrics), ("parity", manifest.parity), ("training", manifest.training)):
        yield from _flat(name, values)


def _budget(manifest: Manifest) -> str:
    budget, windows = manifest.token_budget, manifest.windows
    return f"{budget} a function" + (
        f", and of a longer one {windows} times as many, {budget} at a time" * (windows > 1)
    )


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
    return sum(bundle.size(name) for name in bundle.manifest.files)


def _try(model: Model) -> None:
    """Run every graph of this device once. Raises `ModelError` if what comes out cannot be right."""
    vectors = model.encode(_TRIAL)
    if vectors.shape != (len(_TRIAL), model.info.dimension):
        raise ModelError(f"{model.bundle.location}: the encoder gives vectors of another shape than promised.")
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
        raise ModelError(f"{model.bundle.location}: the encoder's vectors are not of unit length.")
    one, other = _TRIAL
    forth, back = model.pair_probability([one, other], [other, one]).tolist()
    if not 0.0 <= forth <= 1.0 or forth != back:
        raise ModelError(f"{model.bundle.location}: the pair head gives {forth} one way and {back} the other.")
    llm = model.bundle.manifest.llm
    if llm is not None and llm.judge is not None:
        units = [extract_snippet(*code).normalised for code in _TRIAL]
        judge = PairJudge(model.bundle, device=model.bundle.device)
        logits = judge.logits([(units[0], units[1]), (units[1], units[0])]).values
        if logits[0] != logits[1]:
            raise ModelError(f"{model.bundle.location}: the judge gives {logits[0]} one way, {logits[1]} the other.")
