"""The model card: what the bundle is for, what it was made of, what it can and cannot do."""

from __future__ import annotations

from typing import Any

from polyclone.artifact import Calibration, Manifest

_COMPACT = """\
A bi-encoder for functions in fourteen programming languages and a pair head that judges whether two of them are
clones across languages (Type 4: same behaviour, different code). Runs on the CPU through ONNX Runtime, offline.
"""

_LLM = """\
A bundle with a language model: functions in fourteen programming languages become vectors, a pair head judges
whether two of them are clones across languages (Type 4: same behaviour, different code){judge}.
Runs through ONNX Runtime, offline, on the CPU or on CUDA. It needs the package `tokenizers`.
"""

_HEAD = """# {name} (version {version})

{what}
- **Languages**: {languages}
- **Size**: {parameters:,} parameters; vectors of {dimension} dimensions ({dense} dense, {lexical} lexical);
  {budget}.
- **Licence**: Apache-2.0.
- **Start**: {start}.

## Intended use
Proposing to a developer that a function exists in another language of the same workspace. A proposal is a
pointer to two places that a person then reads; it is not a judgement about licences, authorship or correctness.

## Limits
- It does not run code: two functions that differ in one comparison look alike to it.
- Functions of fewer than {min_atoms} atoms are not judged.
- Names carry much of the signal; functions whose names were all replaced are found far less often.
- Probabilities are calibrated for pairs that a search proposes, at the rate of clones among exercise solutions
  hidden in library code; a workspace of hand-made ports holds more clones than that.
"""

_UNSURE = """\
- Between p = {low:.4f} and p = {high:.4f} a pair is called neither: from {high:.4f} on the default precision of
  {precision:g} holds, and below {low:.4f} lay at most a tenth of the clones that a search proposed.
"""


def _budget(manifest: Manifest) -> str:
    budget, windows = manifest.token_budget, manifest.windows
    if windows == 1:
        return f"{budget} tokens of a function are read, a longer one loses its middle"
    whole = (budget - 2) * windows
    return f"a function is read {budget} tokens at a time, up to {whole:,}; one that is still longer loses its middle"


def model_card(manifest: Manifest) -> str:
    """Markdown. Everything in it comes from the manifest."""
    data: dict[str, Any] = manifest.training.get("data", {})
    lines = [
        _HEAD.format(
            what=_what(manifest),
            name=manifest.name,
            version=manifest.version,
            languages=", ".join(manifest.languages),
            parameters=manifest.training.get("parameters", 0),
            dimension=manifest.dimension,
            dense=manifest.dense_width,
            lexical=manifest.dimension - manifest.dense_width,
            budget=_budget(manifest),
            min_atoms=manifest.min_atoms,
            start=manifest.training.get("start", "random weights"),
        )
        + _unsure(manifest.calibration),
        "## Metrics",
        *_flat(manifest.metrics),
        "",
        "## Parity of the graphs with the trained module",
        *_flat(manifest.parity),
        "",
        "## Training data",
        f"{data.get('train_units', 0):,} units of {data.get('classes', 0):,} clone classes and of libraries. Inputs"
        " by SHA-256:",
        *(f"- `{name}` {digest}" for name, digest in sorted(data.get("inputs", {}).items())),
        "",
        "| source | licence | units |",
        "|---|---|---|",
        *(f"| {row['source']} | {row['license']} | {row['units']} |" for row in data.get("sources", [])),
        "",
    ]
    return "\n".join(lines)


def _unsure(calibration: Calibration) -> str:
    if calibration.unsure is None or calibration.unsure[0] >= calibration.unsure[1]:
        return ""
    low, high = calibration.unsure
    return _UNSURE.format(low=low, high=high, precision=calibration.default_precision)


def _what(manifest: Manifest) -> str:
    if manifest.llm is None:
        return _COMPACT
    judge = manifest.llm.judge
    verified = "" if judge is None else ", and a language model verifies the most probable pairs within a time budget"
    return _LLM.format(judge=verified)


def _flat(values: Any, prefix: str = "") -> list[str]:
    if isinstance(values, dict):
        return [line for key, value in values.items() for line in _flat(value, f"{prefix}{key} · ")]
    return [f"- {prefix.removesuffix(' · ')}: {values}"]
