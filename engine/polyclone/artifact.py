"""The model bundle: manifest schema, digests, load checks. Read here, written by `polyclone_export`.

A bundle is a directory, or a zip of one. Nothing in it is ever executed beyond its ONNX graphs, nothing is
unpickled, and every file is checked against the digest in its manifest before it is used.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.archive import PLAIN_NAME, Files, open_files
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
#: Of a bundle with a language model: the binary head's graph, and the tokenizer that its students read with.
JUDGE, LLM_TOKENIZER = "judge.onnx", "llm_tokenizer.json"
#: The graph that a GPU runs in place of another, in half precision.
HALF = {ENCODER: "encoder_fp16.onnx", JUDGE: "judge_fp16.onnx"}
KINDS = ("compact", "llm")
ENCODERS = ("compact", "llm")
LAYOUTS = ("joint", "sides")
#: A manifest is text that is read before anything is known of its author.
MAX_MANIFEST_BYTES = 4 << 20
MAX_WINDOWS = 256
MAX_MANIFEST_DEPTH = 32
#: Files from this size on are checked piece by piece and read again when they are used, instead of being held.
HELD_BYTES = 64 << 20


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
    unsure: tuple[float, float] | None = None
    """[low, high) of probabilities in which a pair is called neither clone nor no clone, at the default precision:
    from `high` on it is one, below `low` it is none. Empty if low = high; None if it was not measured."""

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
class Llm:
    """What a bundle of kind `llm` says of its students. Field by field as under `llm` in `manifest.json`."""

    prompt_version: int
    encoder: str
    """`llm` if the encoder reads text by `llm_tokenizer.json`, `compact` if it is one as of the other kind."""
    judge: Judge | None = None
    """The binary head, where there is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The binary head: `joint` reads a pair in one prompt, `sides` each of the two alone."""

    layout: str
    token_budget: int
    least_probability: float
    """Pairs whose probability by the pair head is lower are not worth the judge's time."""
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    """From the judge's logit to a probability, as in `Calibration`."""

    def apply(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n,) → calibrated probabilities float32 (n,)."""
        return np.interp(logits.astype(np.float64), self.logits, self.probabilities).astype(np.float32)


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
    """Tokens that the encoder reads at once, marks at both ends included."""
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
    own_width: int = 0
    """Of the dense channel, what is the first encoder's; the rest are encoders beside it. 0: all of it."""
    windows: int = 1
    """How many times so many a compact encoder reads of a unit that is longer; what is still over is cut."""
    llm: Llm | None = None
    """Of the kind `llm`, and of no other."""

    @property
    def required(self) -> tuple[str, ...]:
        """The files a bundle of this manifest has at least."""
        if self.llm is None:
            return REQUIRED
        reads_text = self.llm.encoder == "llm" or self.llm.judge is not None
        optional = {TOKENIZER: self.llm.encoder == "compact", LLM_TOKENIZER: reads_text, JUDGE: bool(self.llm.judge)}
        return tuple(name for name in (*REQUIRED, LLM_TOKENIZER, JUDGE) if optional.get(name, True))

    def to_json(self) -> str:
        calibration = {
            "logits": list(self.calibration.logits),
            "probabilities": list(self.calibration.probabilities),
            "precisions": [list(pair) for pair in self.calibration.precisions],
            "default_precision": self.calibration.default_precision,
            **({"unsure": list(self.calibration.unsure)} if self.calibration.unsure else {}),
        }
        content = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "kind": self.kind,
            "version": self.version,
            "normaliser_version": self.normaliser_version,
            "dimension": self.dimension,
            "dense_width": self.dense_width,
            "token_budget": self.token_budget,
            **({"own_width": self.own_width} if self.own_width else {}),
            **({"windows": self.windows} if self.windows > 1 else {}),
            "languages": list(self.languages),
            "min_atoms": self.min_atoms,
            "pair_features": list(self.pair_features),
            "calibration": calibration,
            **({"llm": asdict(self.llm)} if self.llm else {}),
            "files": dict(sorted(self.files.items())),
            "metrics": dict(self.metrics),
            "parity": dict(self.parity),
            "training": dict(self.training),
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A checked bundle: the manifest and its files. `digest` identifies all of it."""

    location: str
    manifest: Manifest
    digest: str
    device: str = "cpu"
    """Where its graphs run: another device may use other graphs and rounds otherwise."""
    _held: Mapping[str, bytes]
    _source: Files

    def on(self, device: str) -> Bundle:
        """The same bundle, for another device."""
        return replace(self, device=device)

    def graph_name(self, name: str) -> str:
        """The file that runs for a graph on this device: its half-precision twin on a GPU, where there is one."""
        half = HALF.get(name, name)
        return half if self.device != "cpu" and half in self.manifest.files else name

    @property
    def encoder_digest(self) -> str:
        """Identifies what decides a vector: graph, vocabularies, token budget, device. Another head leaves it."""
        files = self.manifest.files
        parts = [files[self.graph_name(ENCODER)]]
        llm = self.manifest.llm
        if llm is not None and llm.encoder == "llm":
            parts += [files[LLM_TOKENIZER], f"prompt {llm.prompt_version}"]
        else:
            parts += [files[TOKENIZER], files[LEXICON]]
        parts.append(str(self.manifest.token_budget))
        if self.manifest.windows > 1:
            parts.append(f"{self.manifest.windows} windows")
        if self.device != "cpu":
            parts.append(self.device)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def read(self, name: str) -> bytes:
        """The content of a file. A large one is read and checked anew, so nobody can exchange it after the load."""
        held = self._held.get(name)
        if held is None:
            # Not joined from a list of pieces, which would hold a large graph twice.
            buffer = BytesIO()
            for chunk in self._source.chunks(name):
                buffer.write(chunk)
            held = buffer.getvalue()
            _compare(hashlib.sha256(held).hexdigest(), self.manifest.files[name], self.location, name)
        return held

    def size(self, name: str) -> int:
        return self._source.size(name)

    def text(self, name: str) -> str:
        try:
            return self.read(name).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ModelError(f"{self.location}: {name} is not UTF-8 ({error}); rebuild the bundle.") from error

    def background(self) -> NDArray[np.float32]:
        """Vectors of the reference functions, float32 (m, dimension), unit norm."""
        try:
            array = np.load(BytesIO(self.read(BACKGROUND)), allow_pickle=False)
        except (ValueError, EOFError, OSError, zipfile.BadZipFile, MemoryError, OverflowError) as error:
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
    return read_bundle(open_files(where), str(where))


def read_bundle(source: Files, where: str) -> Bundle:
    """The same from files that are open already. `where` is what messages say."""
    if MANIFEST not in source.names:
        raise ModelError(f"{where} is no model bundle: it holds no {MANIFEST}. Give the folder that has one.")
    if source.size(MANIFEST) > MAX_MANIFEST_BYTES:
        raise ModelError(f"{where}: {MANIFEST} has {source.size(MANIFEST):,} bytes, as no manifest has; refused.")
    text = b"".join(source.chunks(MANIFEST))
    manifest = parse_manifest(text, where)
    held: dict[str, bytes] = {}
    for name, wanted in manifest.files.items():
        if name not in source.names:
            raise ModelError(f"{where}: {name} is missing. Install the bundle again.")
        digest = hashlib.sha256()
        parts: list[bytes] = []
        keep = source.size(name) < HELD_BYTES
        for chunk in source.chunks(name):
            digest.update(chunk)
            if keep:
                parts.append(chunk)
        _compare(digest.hexdigest(), wanted, where, name)
        if keep:
            held[name] = b"".join(parts)
    whole = hashlib.sha256("".join(f"{n}:{d}\n" for n, d in sorted(manifest.files.items())).encode())
    whole.update(text)
    return Bundle(location=where, manifest=manifest, digest=whole.hexdigest(), _held=held, _source=source)


def _compare(found: str, wanted: str, where: str, name: str) -> None:
    if found != wanted:
        raise ModelError(
            f"{where}: {name} has digest {found[:12]}…, the manifest says {wanted[:12]}…."
            " The file was changed or damaged; install the bundle again."
        )


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
        if _depth(raw) > MAX_MANIFEST_DEPTH:
            raise ValueError(f"nested more than {MAX_MANIFEST_DEPTH} deep")
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
            calibration=_parse_calibration(raw["calibration"]),
            files={str(name): str(digest) for name, digest in raw["files"].items()},
            metrics=dict(raw.get("metrics", {})),
            parity=dict(raw.get("parity", {})),
            training=dict(raw.get("training", {})),
            own_width=int(raw.get("own_width", 0)),
            windows=int(raw.get("windows", 1)),
            llm=_parse_llm(raw["llm"]) if "llm" in raw else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise ModelError(f"{where}: {MANIFEST} is not valid ({error!r}). Export the bundle again.") from error
    _check(manifest, where)
    return manifest


def _parse_calibration(raw: Mapping[str, Any]) -> Calibration:
    unsure = None
    if "unsure" in raw:
        low, high = raw["unsure"]
        unsure = (float(low), float(high))
    return Calibration(
        logits=tuple(map(float, raw["logits"])),
        probabilities=tuple(map(float, raw["probabilities"])),
        precisions=tuple((float(a), float(b)) for a, b in raw["precisions"]),
        default_precision=float(raw["default_precision"]),
        unsure=unsure,
    )


def _parse_llm(raw: Mapping[str, Any]) -> Llm:
    judge = raw.get("judge")
    return Llm(
        prompt_version=int(raw["prompt_version"]),
        encoder=str(raw["encoder"]),
        judge=None
        if judge is None
        else Judge(
            layout=str(judge["layout"]),
            token_budget=int(judge["token_budget"]),
            least_probability=float(judge["least_probability"]),
            logits=tuple(map(float, judge["logits"])),
            probabilities=tuple(map(float, judge["probabilities"])),
        ),
    )


def _depth(value: Any) -> int:
    """How deep lists and objects are nested, without recursion: what is too deep must not exhaust the stack here."""
    depth, level = 0, [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if depth > MAX_MANIFEST_DEPTH:
            break
    return depth


def _check(manifest: Manifest, where: str) -> None:
    if manifest.normaliser_version != NORMALISER_VERSION:
        raise ModelError(
            f"{where} was trained with normaliser version {manifest.normaliser_version}, this polyclone has"
            f" version {NORMALISER_VERSION}. Use the polyclone it was made for, or train and export it again."
        )
    if manifest.kind not in KINDS:
        raise ModelError(f"{where}: kind {manifest.kind!r} is unknown; this polyclone loads {', '.join(KINDS)}.")
    odd = [name for name in manifest.files if not PLAIN_NAME.fullmatch(name)]
    if odd:
        raise ModelError(f"{where}: the file name {odd[0]!r} leads out of the bundle or is not plain; refused.")
    if (manifest.kind == "llm") != (manifest.llm is not None):
        raise ModelError(f"{where}: only a bundle of kind llm describes a language model. Export the bundle again.")
    if manifest.llm is not None:
        _check_llm(manifest.llm, where)
    missing = [name for name in manifest.required if name not in manifest.files]
    if missing:
        raise ModelError(f"{where}: the manifest lists no {', '.join(missing)}. Export the bundle again.")
    if not 1 <= manifest.dense_width <= manifest.dimension <= 1 << 16 or not 16 <= manifest.token_budget <= 1 << 17:
        raise ModelError(f"{where}: dimension {manifest.dimension} or budget {manifest.token_budget} is absurd.")
    if not 0 <= manifest.own_width <= manifest.dense_width:
        raise ModelError(f"{where}: {manifest.own_width} of {manifest.dense_width} dense dimensions is absurd.")
    if not 1 <= manifest.windows <= MAX_WINDOWS:
        raise ModelError(f"{where}: {manifest.windows} windows; from 1 to {MAX_WINDOWS} can be. Export it again.")
    _check_curve(manifest.calibration, where)
    low, high = manifest.calibration.unsure or (0.0, 0.0)
    if not 0.0 <= low <= high <= 1.0:
        raise ModelError(f"{where}: the unsure band [{low:g}, {high:g}] is none. Calibrate and export again.")


def _check_llm(llm: Llm, where: str) -> None:
    if llm.encoder not in ENCODERS:
        raise ModelError(f"{where}: encoder {llm.encoder!r} is unknown; this polyclone knows {', '.join(ENCODERS)}.")
    judge = llm.judge
    if llm.encoder == "compact" and judge is None:
        raise ModelError(f"{where}: a bundle of kind llm without any language model. Export the bundle again.")
    if judge is None:
        return
    if judge.layout not in LAYOUTS:
        raise ModelError(f"{where}: layout {judge.layout!r} is unknown; this polyclone knows {', '.join(LAYOUTS)}.")
    if not 16 <= judge.token_budget <= 1 << 17 or not 0.0 <= judge.least_probability <= 1.0:
        raise ModelError(f"{where}: the judge's budget or least probability is absurd. Export the bundle again.")
    _check_curve(judge, where)


def _check_curve(points: Calibration | Judge, where: str) -> None:
    ascending = all(a <= b for a, b in _neighbours(points.logits)) and all(
        0.0 <= a <= b <= 1.0 for a, b in _neighbours(points.probabilities)
    )
    if len(points.logits) != len(points.probabilities) or len(points.logits) < 2 or not ascending:
        raise ModelError(f"{where}: the calibration is not an ascending curve. Calibrate and export again.")


def _neighbours(values: Sequence[float]) -> list[tuple[float, float]]:
    return list(pairwise(values))
