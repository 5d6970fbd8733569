"""Model bundles that are sound but tiny: real ONNX graphs over random tables, a lexicon, a calibration.

Related code has related vectors (the lexical channel is a random projection of a bag of words), so that a scan
with such a bundle finds things; nothing else about it is clever.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from polyclone.artifact import (
    BACKGROUND,
    CARD,
    ENCODER,
    JUDGE,
    LEXICON,
    LLM_TOKENIZER,
    MANIFEST,
    PAIR_HEAD,
    TOKENIZER,
    Calibration,
    Manifest,
)
from polyclone.encode.judge import judge_inputs
from polyclone.encode.onnx import INPUTS, OUTPUT
from polyclone.encode.prompts import PROMPT_VERSION
from polyclone.encode.runtime import CUDA, provider, session
from polyclone.languages import LANGUAGES
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import CLS, MARKERS, PAD, SEP, UNK, Lexicon
from polyclone.verify import FEATURES

DENSE, LEXICAL = 16, 48
DIMENSION = DENSE + LEXICAL
BUDGET, MIN_ATOMS = 384, 12
CALIBRATION = Calibration(
    logits=(-8.0, -2.0, 2.0, 8.0),
    probabilities=(0.0005, 0.1, 0.9, 0.9995),
    precisions=((0.5, 0.3), (0.9, 0.6), (0.95, 0.8)),
    default_precision=0.9,
)
#: Weights of the pair head; features that are not named weigh nothing.
HEAD_WEIGHTS = {
    "cosine": 6.0,
    "dense_cosine": 1.0,
    "background_z_low": 0.25,
    "margin": -4.0,
    "word_overlap": 4.0,
    "constant_conflict": -2.0,
    "control_cosine": 2.0,
    "length_ratio": 1.0,
}
HEAD_BIAS = -8.0


def vocabulary() -> dict[str, int]:
    """Frame, markers, every lower-case letter, digit and operator, and a few longer pieces."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = ["total", "count", "value", "limit", "index", "##s", "##er", "##ing", "return", "while", "if", "for"]
    words = [PAD, UNK, CLS, SEP, *MARKERS, *letters, *(f"##{c}" for c in letters), *"+-*/%<>=!&|^~?[", *pieces]
    return {word: number for number, word in enumerate(dict.fromkeys(words))}


def lexicon() -> Lexicon:
    words = ["value", "result", "total", "limit", "index", "count", "items", "left", "right", "#31", "#1000000007"]
    return Lexicon([(word, 900 - 50 * rank) for rank, word in enumerate(words)], documents=1000, buckets=2048)


def tokenizer_json(table: Mapping[str, int]) -> str:
    model = {"type": "WordPiece", "unk_token": UNK, "continuing_subword_prefix": "##", "max_input_chars_per_word": 64}
    return json.dumps({"version": "1.0", "model": {**model, "vocab": dict(table)}})


def _table(name: str, rows: int, width: int, seed: int) -> TensorProto:
    values = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    values[0] = 0.0
    return numpy_helper.from_array(values, name)


def _graph(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[TensorProto]) -> bytes:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@cache
def encoder_graph(*, rename: tuple[str, str] = ("", ""), dimension: int = DIMENSION, seed: int = 2) -> bytes:
    """Masked mean of token rows beside the weighted sum of word rows, each and then both at unit length.

    `rename` gives one input or the output another name; `seed` decides the word rows.
    """

    def named(name: str) -> str:
        return rename[1] if name == rename[0] else name

    def value(name: str, kind: int, shape: list[Any]) -> Any:
        return helper.make_tensor_value_info(named(name), kind, shape)

    ids, mask, word_ids, weights = map(named, INPUTS)
    node = helper.make_node
    nodes = [
        node("Gather", ["token_table", ids], ["tokens"]),
        node("Cast", [mask], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "last"], ["mask_column"]),
        node("Mul", ["tokens", "mask_column"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["summed"], keepdims=0),
        node("LpNormalization", ["summed"], ["dense"], axis=1, p=2),
        node("Gather", ["word_table", word_ids], ["words"]),
        node("Unsqueeze", [weights, "last"], ["weight_column"]),
        node("Mul", ["words", "weight_column"], ["weighted"]),
        node("ReduceSum", ["weighted", "one"], ["bag"], keepdims=0),
        node("LpNormalization", ["bag"], ["lexical_unit"], axis=1, p=2),
        node("Mul", ["lexical_unit", "two"], ["lexical"]),
        node("Concat", ["dense", "lexical"], ["both"], axis=1),
        node("LpNormalization", ["both"], [named(OUTPUT)], axis=1, p=2),
    ]
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "sequence"]),
        value("attention_mask", TensorProto.INT64, ["batch", "sequence"]),
        value("word_ids", TensorProto.INT64, ["batch", "words"]),
        value("word_weights", TensorProto.FLOAT, ["batch", "words"]),
    ]
    constants = [
        _table("token_table", len(vocabulary()), DENSE, 1),
        _table("word_table", lexicon().size, dimension - DENSE, seed),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([2.0], np.float32), "two"),
    ]
    return _graph(nodes, inputs, [value(OUTPUT, TensorProto.FLOAT, ["batch", dimension])], constants)


@cache
def head_graph() -> bytes:
    """features (n, f) → logit (n,), linear."""
    column = np.array([[HEAD_WEIGHTS.get(name, 0.0)] for name in FEATURES], np.float32)
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["column"]),
        helper.make_node("Squeeze", ["column", "last"], ["logit"]),
    ]
    constants = [
        numpy_helper.from_array(column, "weights"),
        numpy_helper.from_array(np.array([HEAD_BIAS], np.float32), "bias"),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
    ]
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["pairs", len(FEATURES)])]
    outputs = [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["pairs"])]
    return _graph(nodes, inputs, outputs, constants)


def array(values: Any, *, pickled: bool = False) -> bytes:
    """The bytes of an `.npy` file."""
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=pickled)
    return buffer.getvalue()


def reference_vectors(rows: int = 24, dimension: int = DIMENSION) -> np.ndarray:
    values = np.random.default_rng(3).standard_normal((rows, dimension))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float16)


def contents() -> dict[str, bytes]:
    """The files of a sound bundle, but for its manifest."""
    return {
        ENCODER: encoder_graph(),
        PAIR_HEAD: head_graph(),
        TOKENIZER: tokenizer_json(vocabulary()).encode(),
        LEXICON: lexicon().to_text().encode(),
        BACKGROUND: array(reference_vectors()),
        CARD: b"# A tiny model\n",
    }


def tiny_bundle(
    folder: Path, *, files: Mapping[str, bytes] | None = None, without: tuple[str, ...] = (), **changes: Any
) -> Path:
    """A bundle in `folder / "bundle"`. `files` replace or add contents, with digests that fit, `without` leaves some
    out; `changes` replace fields of the manifest as it is written, whatever they are, and None removes one.
    """
    out = folder / "bundle"
    out.mkdir(parents=True)
    held = {name: content for name, content in {**contents(), **(files or {})}.items() if name not in without}
    manifest = Manifest(
        name="tiny",
        kind="compact",
        version="1",
        normaliser_version=NORMALISER_VERSION,
        dimension=DIMENSION,
        dense_width=DENSE,
        token_budget=BUDGET,
        languages=tuple(sorted(LANGUAGES)),
        min_atoms=MIN_ATOMS,
        pair_features=FEATURES,
        calibration=CALIBRATION,
        files={name: hashlib.sha256(content).hexdigest() for name, content in held.items()},
    )
    for name, content in held.items():
        (out / name).write_bytes(content)
    raw = {**json.loads(manifest.to_json()), **changes}
    (out / MANIFEST).write_text(json.dumps({k: v for k, v in raw.items() if v is not None}), "utf-8")
    return out


WORDS = [*"abcdefghijklmnopqrstuvwxyz0123456789", *"function total value values limit result for if".split()]
TEXT_VOCABULARY = {word: number for number, word in enumerate(["[UNK]", *WORDS, *'+-*/%<>=!&|^~?[]():"', "return"])}
JUDGE_SPEC: dict[str, Any] = {
    "layout": "joint",
    "token_budget": 256,
    "least_probability": 0.05,
    "logits": [-8.0, 0.0, 8.0],
    "probabilities": [0.001, 0.5, 0.999],
}


def text_tokenizer_json() -> bytes:
    """A word-level tokenizer of Hugging Face `tokenizers`: words it does not know are one token."""
    model = {"type": "WordLevel", "vocab": TEXT_VOCABULARY, "unk_token": "[UNK]"}
    rest = dict.fromkeys(("truncation", "padding", "normalizer", "post_processor", "decoder"))
    split = {"type": "Whitespace"}
    return json.dumps({"version": "1.0", **rest, "added_tokens": [], "pre_tokenizer": split, "model": model}).encode()


def _pooled(ids: str, mask: str, out: str) -> list[Any]:
    """Masked sum of token rows: ids, mask (b, t) → out (b, d)."""
    node = helper.make_node
    return [
        node("Gather", ["table", ids], [f"{out}_tokens"]),
        node("Cast", [mask], [f"{out}_mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", [f"{out}_mask", "last"], [f"{out}_column"]),
        node("Mul", [f"{out}_tokens", f"{out}_column"], [f"{out}_masked"]),
        node("ReduceSum", [f"{out}_masked", "one"], [out], keepdims=0),
    ]


def _text_constants(width: int) -> list[TensorProto]:
    return [
        _table("table", len(TEXT_VOCABULARY), width, 5),
        numpy_helper.from_array(np.array([-1], np.int64), "last"),
        numpy_helper.from_array(np.array([1], np.int64), "one"),
    ]


def _text_inputs(names: tuple[str, ...]) -> list[Any]:
    return [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", f"length_{position // 2}"])
        for position, name in enumerate(names)
    ]


@cache
def text_encoder_graph() -> bytes:
    """Ids and mask → the sum of token rows at unit length."""
    nodes = [
        *_pooled("input_ids", "attention_mask", "pooled"),
        helper.make_node("LpNormalization", ["pooled"], [OUTPUT], axis=1, p=2),
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", DIMENSION])
    return _graph(nodes, _text_inputs(INPUTS[:2]), [output], _text_constants(DIMENSION))


@cache
def judge_graph(layout: str = "joint", factor: float = 1.0) -> bytes:
    """A logit: of the pooled pair, or of the product of the pooled sides. `factor` multiplies it."""
    names = judge_inputs(layout)
    node = helper.make_node
    if layout == "joint":
        nodes = _pooled(names[0], names[1], "pooled")
    else:
        nodes = [
            *_pooled(names[0], names[1], "left_side"),
            *_pooled(names[2], names[3], "right_side"),
            node("Mul", ["left_side", "right_side"], ["pooled"]),
        ]
    nodes += [
        node("ReduceSum", ["pooled", "one"], ["mean"], keepdims=0),
        node("Mul", ["mean", "factor"], ["logit"]),
    ]
    constants = [*_text_constants(8), numpy_helper.from_array(np.array(factor, np.float32), "factor")]
    output = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])
    return _graph(nodes, _text_inputs(names), [output], constants)


def llm_bundle(
    folder: Path,
    *,
    encoder: str = "llm",
    judge: Mapping[str, Any] | None = JUDGE_SPEC,
    files: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> Path:
    """A bundle of kind `llm`: `encoder` says what its vectors come from, `judge` describes its binary head."""
    more: dict[str, bytes] = {LLM_TOKENIZER: text_tokenizer_json()}
    if encoder == "llm":
        more[ENCODER] = text_encoder_graph()
    if judge is not None:
        more[JUDGE] = judge_graph(judge["layout"])
    described = {"prompt_version": PROMPT_VERSION, "encoder": encoder, "judge": dict(judge) if judge else None}
    without = (TOKENIZER,) if encoder == "llm" else ()
    return tiny_bundle(
        folder, files={**more, **(files or {})}, without=without, **{"kind": "llm", "llm": described, **changes}
    )


@cache
def gpu_answers() -> bool:
    """Whether a session runs on CUDA here. A runtime that offers it may still find no device."""
    made = session(head_graph(), "here", device="cuda")
    return provider(made) == CUDA


def zipped(bundle: Path, *, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The bundle as one file beside its folder."""
    target = bundle.with_suffix(".zip")
    with zipfile.ZipFile(target, "w", method) as archive:
        for path in sorted(bundle.iterdir()):
            archive.write(path, path.name)
    return target
