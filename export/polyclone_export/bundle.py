"""Writes a bundle: graphs, vocabularies, reference vectors, manifest, model card. Nothing without parity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from polyclone.artifact import (
    BACKGROUND,
    CARD,
    ENCODER,
    LEXICON,
    MANIFEST,
    PAIR_HEAD,
    TOKENIZER,
    Calibration,
    Manifest,
    load_bundle,
)
from polyclone.encode.onnx import OnnxEncoder
from polyclone.errors import UsageError
from polyclone.languages import LANGUAGES
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import Lexicon, Tokenizer, WordPiece
from polyclone.values import ATOM_SEPARATOR
from polyclone.verify import FEATURES
from polyclone_distill.trainer.pair_head import PairHead, load_pair_head
from polyclone_distill.trainer.run import load_encoder

from .card import model_card
from .graphs import export_encoder, export_pair_head, quantise_int8
from .parity import Sample, module_vectors, prove

log = logging.getLogger(__name__)

TOKEN_BUDGET = 256
#: A unit of fewer atoms is too small to judge: below, chance agreement is common.
MIN_ATOMS = 20
REFERENCE_UNITS = 512
#: Stands in until a head is trained: probability rises with the cosine, and no precision is promised.
NEUTRAL = Calibration(
    logits=(-6.0, 6.0), probabilities=(0.0025, 0.9975), precisions=((0.5, 0.5),), default_precision=0.5
)


def read_sample(prepared: Path, *, per_class: int = 5, classes: int = 80) -> Sample:
    """Units of unseen tasks, of every language there is, for parity."""
    rows = pq.read_table(prepared / "units.parquet", filters=[("split", "=", "valid"), ("role", "=", "program")])
    chosen: dict[str, dict[str, str]] = {}
    for row in rows.select(["class", "language", "normalised"]).to_pylist():
        group = chosen.setdefault(row["class"], {})
        group.setdefault(row["language"], row["normalised"])
    units = [
        (unit, name, language)
        for name in sorted(chosen)[:classes]
        for language, unit in sorted(chosen[name].items())[:per_class]
    ]
    return Sample(
        units=tuple(u for u, _, _ in units),
        classes=tuple(c for _, c, _ in units),
        languages=tuple(language for _, _, language in units),
    )


def read_reference(prepared: Path, count: int = REFERENCE_UNITS) -> list[str]:
    """Library functions of all languages in equal parts: the background against which a cosine is judged."""
    rows = pq.read_table(
        prepared / "units.parquet", columns=["task", "language", "normalised"], filters=[("role", "=", "function")]
    ).to_pylist()
    by_language: dict[str, list[str]] = {}
    for row in rows:
        if row["task"] is None and 32 <= row["normalised"].count(ATOM_SEPARATOR) <= 300:
            by_language.setdefault(row["language"], []).append(row["normalised"])
    rng = np.random.default_rng(17)
    each = max(1, count // max(1, len(by_language)))
    return [
        units[i]
        for _, units in sorted(by_language.items())
        for i in sorted(rng.choice(len(units), min(each, len(units)), replace=False).tolist())
    ]


def write_bundle(
    encoder_path: Path,
    prepared: Path,
    out: Path,
    *,
    pair_head_path: Path | None = None,
    int8: bool = True,
    name: str = "polyclone-compact",
    version: str = "1",
    metrics: dict[str, Any] | None = None,
) -> Manifest:
    """Exports, proves parity, writes and reloads. Without a pair head the bundle is provisional: to train one with.

    Effect: replaces the folder `out`, once everything has passed. Raises `ParityError`, `UsageError`.
    """
    for path in (encoder_path, prepared / "prepared.json", *([pair_head_path] if pair_head_path else [])):
        if not path.exists():
            raise UsageError(f"{path} does not exist; run `polyclone-distill` to make it.")
    if out.exists() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise UsageError(f"{out} holds something else than a bundle; give an empty or a new folder.")
    encoder = load_encoder(encoder_path).eval()
    texts = {file: (prepared / file).read_text("utf-8") for file in (TOKENIZER, LEXICON)}
    tokenizer = Tokenizer(WordPiece.from_json(texts[TOKENIZER]), Lexicon.from_text(texts[LEXICON]), TOKEN_BUDGET)
    sample = read_sample(prepared)
    report = json.loads((prepared / "prepared.json").read_text("utf-8"))
    with tempfile.TemporaryDirectory(dir=out.parent if out.parent.exists() else None) as folder:
        staging = Path(folder)
        full = staging / "float32.onnx"
        export_encoder(encoder, full)
        expected = module_vectors(encoder, sample, tokenizer)
        parity: dict[str, Any] = {"float32": prove(encoder, expected, full, sample, tokenizer, precision="float32")}
        log.info("float32: %s", parity["float32"])
        if int8:
            quantise_int8(full, staging / ENCODER)
            parity["int8"] = prove(encoder, expected, staging / ENCODER, sample, tokenizer, precision="int8")
            log.info("int8: %s", parity["int8"])
            full.unlink()
        else:
            full.rename(staging / ENCODER)
        head, calibration, head_record = _head(pair_head_path)
        export_pair_head(head, len(FEATURES), staging / PAIR_HEAD)
        for file, text in texts.items():
            (staging / file).write_text(text, "utf-8")
        np.save(staging / BACKGROUND, np.zeros((2, encoder.dimension), np.float16), allow_pickle=False)
        manifest = Manifest(
            name=name if pair_head_path else f"{name}-provisional",
            kind="compact",
            version=version,
            normaliser_version=NORMALISER_VERSION,
            dimension=encoder.dimension,
            dense_width=encoder.config.width,
            token_budget=TOKEN_BUDGET,
            languages=tuple(sorted(LANGUAGES)),
            min_atoms=MIN_ATOMS,
            pair_features=FEATURES,
            calibration=calibration,
            files={},
            metrics={**(metrics or {}), **head_record},
            parity=parity,
            training={
                "start": "sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0)",
                "parameters": sum(p.numel() for p in encoder.parameters()),
                "encoder": dataclasses.asdict(encoder.config),
                "data": report,
            },
        )
        (staging / CARD).write_text(model_card(manifest), "utf-8")
        _seal(staging, manifest)
        np.save(staging / BACKGROUND, _reference_vectors(staging, prepared), allow_pickle=False)
        manifest = _seal(staging, manifest)
        load_bundle(staging)
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(staging, out)
        out.chmod(0o755)
    return manifest


def _head(path: Path | None) -> tuple[PairHead, Calibration, dict[str, Any]]:
    if path is None:
        head = PairHead(len(FEATURES), hidden=0)
        with torch.no_grad():
            head.output.weight.zero_()
            head.output.weight[0, 0] = 12.0
            head.output.bias.fill_(-8.0)
        return head, NEUTRAL, {}
    head, record = load_pair_head(path)
    points = record["calibration"]
    calibration = Calibration(
        logits=tuple(points["logits"]),
        probabilities=tuple(points["probabilities"]),
        precisions=tuple((a, b) for a, b in points["precisions"]),
        default_precision=points["default_precision"],
    )
    return head, calibration, {"pair_head": record["metrics"]}


def _reference_vectors(staging: Path, prepared: Path) -> NDArray[np.float16]:
    encoder = OnnxEncoder(load_bundle(staging), threads=2)
    return encoder.encode(read_reference(prepared)).vectors.astype(np.float16)


def _seal(folder: Path, manifest: Manifest) -> Manifest:
    """Effect: writes the manifest with the digests of all files."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    sealed = dataclasses.replace(manifest, files=files)
    (folder / MANIFEST).write_text(sealed.to_json(), "utf-8")
    return sealed
