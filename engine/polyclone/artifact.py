"""The model bundle: manifest schema, digests, load checks. Read here, written by `polyclone_export`.

A bundle is a directory, or a zip of one. Nothing in it is ever executed beyond the two ONNX graphs, nothing
is unpickled, and every file is checked against the digest in its manifest before it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from itertools import pairwise
from lzma import LZMAError
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.errors import ModelError
from polyclone.normalise import NORMALISER_VERSION

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
ENCODER, PAIR_HEAD, TOKENIZER, LEXICON, BACKGROUND, CARD = (
    "encoder.onnx",
    "pair_head.onnx",
    "tokenizer.json",
    "lexicon.tsv",
    "background.npy",
    "MODEL_CARD.md",
)
REQUIRED = (ENCODER, PAIR_HEAD, TOKENIZER, LEXICON, BACKGROUND, CARD)
KINDS = ("compact", "llm")
#: No file of a bundle may be larger, so that a hostile zip cannot fill the memory (16 GiB).
MAX_FILE_BYTES = 16 << 30
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """From the pair head's logit to a probability, and from a wished precision to a threshold.

    `logits` ascend; `probabilities` of equal length do not descend; between two points the probability is
    linear. `precisions` are (precision, least probability) pairs measured on validation retrievals.
    """

    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    precisions: tuple[tuple[float, float], ...]
    default_precision: float

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n,) → calibrated probabilities float32 (n,)."""
        return np.interp(logits.astype(np.float64), self.logits, self.probabilities).astype(np.float32)

    def threshold(self, precision: float | None = None) -> float:
        """Least probability at which the reported pairs have (at least) the wished precision on validation."""
        wished = self.default_precision if precision is None else precision
        if not 0.0 < wished < 1.0:
            raise ModelError(f"--precision must lie between 0 and 1, not {wished}.")
        enough = [least for reached, least in self.precisions if reached >= wished - 1e-9]
        if not enough:
            best = max((reached for reached, _ in self.precisions), default=0.0)
            raise ModelError(
                f"This model was not calibrated for a precision of {wished:g}; it goes up to {best:g}."
                " Ask for less, or set --min-probability."
            )
        return min(enough)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a bundle says of itself. Field by field as in `manifest.json`."""

    name: str
    kind: str
    version: str
    normaliser_version: int
    dimension: int
    dense_width: int
    """The first so many dimensions are the dense channel, the rest the lexical one."""
    token_budget: int
    languages: tuple[str, ...]
    min_atoms: int
    """A unit of fewer atoms is too small to judge."""
    pair_features: tuple[str, ...]
    calibration: Calibration
    files: Mapping[str, str]
    """File name → hex SHA-256."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        calibration = {
            "logits": list(self.calibration.logits),
            "probabilities": list(self.calibration.probabilities),
            "precisions": [list(pair) for pair in self.calibration.precisions],
            "default_precision": self.calibration.default_precision,
        }
        return (
            json.dumps(
                {
                    "format_version": FORMAT_VERSION,
                    "name": self.name,
                    "kind": self.kind,
                    "version": self.version,
                    "normaliser_version": self.normaliser_version,
                    "dimension": self.dimension,
                    "dense_width": self.dense_width,
                    "token_budget": self.token_budget,
                    "languages": list(self.languages),
                    "min_atoms": self.min_atoms,
                    "pair_features": list(self.pair_features),
                    "calibration": calibration,
                    "files": dict(sorted(self.files.items())),
                    "metrics": dict(self.metrics),
                    "parity": dict(self.parity),
                    "training": dict(self.training),
                },
                indent=1,
                ensure_ascii=False,
            )
            + "\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A checked bundle: the manifest and the bytes of its files. `digest` identifies all of it."""

    location: str
    manifest: Manifest
    digest: str
    _files: Mapping[str, bytes]

    @property
    def encoder_digest(self) -> str:
        """Identifies what decides a vector: graph, vocabularies and token budget. Another pair head leaves it."""
        parts = [self.manifest.files[name] for name in (ENCODER, TOKENIZER, LEXICON)]
        return hashlib.sha256("\0".join([*parts, str(self.manifest.token_budget)]).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        return self._files[name]

    def text(self, name: str) -> str:
        try:
            return self._files[name].decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.location}: {name} is not UTF-8 ({error}); rebuild the bundle.") from error

    def background(self) -> NDArray[np.float32]:
        """Vectors of the reference functions, float32 (m, dimension), unit norm."""
        try:
            array = np.load(BytesIO(self._files[BACKGROUND]), allow_pickle=False)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"{self.location}: {BACKGROUND} is not a plain array ({error}).") from error
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ModelError(f"{self.location}: {BACKGROUND} holds no finite numbers; rebuild the bundle.")
        if array.ndim != 2 or array.shape[1] != self.manifest.dimension or array.shape[0] < 2:
            raise ModelError(
                f"{self.location}: {BACKGROUND} has shape {array.shape}, dimension {self.manifest.dimension}"
                " was promised; rebuild the bundle."
            )
        vectors = array.astype(np.float32)
        return np.asarray(vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12), dtype=np.float32)


def default_bundle_path() -> Path:
    """The bundle inside the package."""
    return Path(__file__).parent / "bundles" / "compact"


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Reads and checks a bundle; `ModelError` says what is wrong with it and what to do.

    Checked: format and normaliser version, plain file names, presence, sizes, digests.
    """
    where = Path(path) if path is not None else default_bundle_path()
    read, names = _reader(where)
    if MANIFEST not in names:
        raise ModelError(f"{where} is no model bundle: it holds no {MANIFEST}. Give the folder that has one.")
    manifest = parse_manifest(read(MANIFEST), str(where))
    files: dict[str, bytes] = {}
    for name, wanted in manifest.files.items():
        if name not in names:
            raise ModelError(f"{where}: {name} is missing. Install the bundle again.")
        content = read(name)
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            raise ModelError(
                f"{where}: {name} has digest {found[:12]}…, the manifest says {wanted[:12]}…."
                " The file was changed or damaged; install the bundle again."
            )
        files[name] = content
    digest = hashlib.sha256("".join(f"{n}:{d}\n" for n, d in sorted(manifest.files.items())).encode())
    digest.update(read(MANIFEST))
    return Bundle(location=str(where), manifest=manifest, digest=digest.hexdigest(), _files=files)


def _reader(where: Path) -> tuple[Any, set[str]]:
    if where.is_dir():

        def read_file(name: str) -> bytes:
            return (where / name).read_bytes()

        return read_file, {entry.name for entry in where.iterdir() if entry.is_file()}
    if not where.exists():
        raise ModelError(f"There is no model bundle at {where}. Reinstall polyclone, or give --model DIR.")
    try:
        archive = zipfile.ZipFile(where)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{where} is neither a bundle folder nor a zip of one ({error}).") from error
    sizes = {info.filename: info.file_size for info in archive.infolist()}

    def read_member(name: str) -> bytes:
        if sizes[name] > MAX_FILE_BYTES:
            raise ModelError(f"{where}: {name} claims {sizes[name]:,} bytes, which is more than a model has.")
        try:
            return archive.read(name)
        except (
            zipfile.BadZipFile,
            zlib.error,
            LZMAError,
            NotImplementedError,
            RuntimeError,
            OSError,
            EOFError,
        ) as error:
            raise ModelError(f"{where}: {name} cannot be unpacked ({error}).") from error

    return read_member, set(sizes)


def parse_manifest(content: bytes, where: str) -> Manifest:
    """Checks versions and shapes of every field before anything else is read."""
    try:
        raw = json.loads(content)
        if not isinstance(raw, dict):
            raise TypeError("not an object")
        version = raw["format_version"]
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{where}: bundle format {version}, this polyclone reads format {FORMAT_VERSION}."
                " Update polyclone, or export the bundle again."
            )
        calibration = raw["calibration"]
        manifest = Manifest(
            name=str(raw["name"]),
            kind=str(raw["kind"]),
            version=str(raw["version"]),
            normaliser_version=int(raw["normaliser_version"]),
            dimension=int(raw["dimension"]),
            dense_width=int(raw["dense_width"]),
            token_budget=int(raw["token_budget"]),
            languages=tuple(map(str, raw["languages"])),
            min_atoms=int(raw["min_atoms"]),
            pair_features=tuple(map(str, raw["pair_features"])),
            calibration=Calibration(
                logits=tuple(map(float, calibration["logits"])),
                probabilities=tuple(map(float, calibration["probabilities"])),
                precisions=tuple((float(a), float(b)) for a, b in calibration["precisions"]),
                default_precision=float(calibration["default_precision"]),
            ),
            files={str(name): str(digest) for name, digest in raw["files"].items()},
            metrics=dict(raw.get("metrics", {})),
            parity=dict(raw.get("parity", {})),
            training=dict(raw.get("training", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{where}: {MANIFEST} is not valid ({error!r}). Export the bundle again.") from error
    _check(manifest, where)
    return manifest


def _check(manifest: Manifest, where: str) -> None:
    if manifest.normaliser_version != NORMALISER_VERSION:
        raise ModelError(
            f"{where} was trained with normaliser version {manifest.normaliser_version}, this polyclone has"
            f" version {NORMALISER_VERSION}. Use the polyclone it was made for, or train and export it again."
        )
    if manifest.kind not in KINDS:
        raise ModelError(f"{where}: kind {manifest.kind!r} is unknown; this polyclone loads {', '.join(KINDS)}.")
    odd = [name for name in manifest.files if not _PLAIN_NAME.fullmatch(name)]
    if odd:
        raise ModelError(f"{where}: the file name {odd[0]!r} leads out of the bundle or is not plain; refused.")
    missing = [name for name in REQUIRED if name not in manifest.files]
    if missing:
        raise ModelError(f"{where}: the manifest lists no {', '.join(missing)}. Export the bundle again.")
    if not 1 <= manifest.dense_width <= manifest.dimension <= 1 << 16 or not 16 <= manifest.token_budget <= 1 << 17:
        raise ModelError(f"{where}: dimension {manifest.dimension} or budget {manifest.token_budget} is absurd.")
    points = manifest.calibration
    ascending = all(a <= b for a, b in _neighbours(points.logits)) and all(
        0.0 <= a <= b <= 1.0 for a, b in _neighbours(points.probabilities)
    )
    if len(points.logits) != len(points.probabilities) or len(points.logits) < 2 or not ascending:
        raise ModelError(f"{where}: the calibration is not an ascending curve. Calibrate and export again.")


def _neighbours(values: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(values))
