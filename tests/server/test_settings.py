"""Settings of a client: every key, every kind of wrong value, and what a folder's own file may add."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from polyclone_server import protocol
from polyclone_server.settings import DEFAULTS, KEYS, Scope, Settings, read, scope

GOOD: list[tuple[str, Any, str, Any]] = [
    ("enable", False, "enable", False),
    ("minProbability", 0.7, "min_probability", 0.7),
    ("minProbability", 1, "min_probability", 1.0),
    ("precision", 0.95, "precision", 0.95),
    ("sameLanguage", True, "same_language", True),
    ("languages", ["golang", "Python"], "languages", ("go", "python")),
    ("exclude", ["gen/", "!keep"], "exclude", ("gen/", "!keep")),
    ("diagnostics.enable", False, "diagnostics", False),
    ("diagnostics.severity", "hint", "severity", "hint"),
    ("diagnosticMode", "workspace", "diagnostic_mode", "workspace"),
    ("codeLens.enable", False, "code_lens", False),
    ("hover.enable", False, "hover", False),
    ("debounceMs", 0, "debounce_ms", 0),
    ("debounceMs", 50.0, "debounce_ms", 50),
    ("acrossFolders", False, "across_folders", False),
    ("jobs", 3, "jobs", 3),
    ("model", "/models/own", "model", "/models/own"),
    ("model", "", "model", None),
    ("device", "cuda", "device", "cuda"),
]
BAD: list[tuple[str, Any]] = [
    ("enable", "yes"),
    ("minProbability", 0),
    ("minProbability", 1.5),
    ("minProbability", True),
    ("minProbability", float("nan")),
    ("precision", "high"),
    ("sameLanguage", 1),
    ("languages", "go"),
    ("languages", ["cobol"]),
    ("languages", [1]),
    ("exclude", [None]),
    ("diagnostics.enable", "on"),
    ("diagnostics.severity", "error"),
    ("diagnosticMode", "all"),
    ("codeLens.enable", 0),
    ("hover.enable", []),
    ("debounceMs", -1),
    ("debounceMs", 10_001),
    ("debounceMs", 1.5),
    ("acrossFolders", "no"),
    ("jobs", 0),
    ("jobs", True),
    ("model", 7),
    ("model", "a\0b"),
    ("device", "tpu"),
]


def nested(key: str, value: Any) -> dict[str, Any]:
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(("key", "value", "name", "expected"), GOOD)
def test_a_good_value_counts(key: str, value: Any, name: str, expected: Any) -> None:
    for raw in (nested(key, value), {key: value}):
        settings, problems = read(raw)
        assert problems == ()
        assert getattr(settings, name) == expected


@pytest.mark.parametrize(("key", "value"), BAD)
def test_a_wrong_value_is_told_and_the_last_good_one_kept(key: str, value: Any) -> None:
    good = {known: given for known, given, *_ in GOOD if known != "precision"}
    last, _ = read(good)
    settings, problems = read({**good, key: value}, last)
    assert [problem.key for problem in problems] == [f"polyclone.{key}"]
    assert "last good value" in problems[0].message
    assert settings == (last if key != "precision" else settings)


def test_every_key_is_tried() -> None:
    assert {key for key, *_ in GOOD} == set(KEYS)
    assert {key for key, _ in BAD} == set(KEYS)


def test_the_keys_are_those_of_the_protocol() -> None:
    described: set[str] = set()
    for key, kind in typing.get_type_hints(protocol.Settings).items():
        if kind in (protocol.DiagnosticsSettings, protocol.Switch):
            described |= {f"{key}.{inner}" for inner in typing.get_type_hints(kind)}
        else:
            described.add(key)
    assert described == set(KEYS)


def test_nothing_and_null_mean_the_default() -> None:
    assert read(None) == (DEFAULTS, ())
    assert read({}) == (DEFAULTS, ())
    assert read(dict.fromkeys(KEYS)) == (DEFAULTS, ())


def test_keys_of_the_client_itself_are_passed_over() -> None:
    assert read({"server": {"path": "/x"}, "trace": {"server": "verbose"}}) == (DEFAULTS, ())


def test_of_two_thresholds_the_probability_counts() -> None:
    settings, problems = read({"minProbability": 0.5, "precision": 0.9})
    assert (settings.min_probability, settings.precision) == (0.5, None)
    assert len(problems) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner),
    max_leaves=8,
)


patient = hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine is no failure."""


@patient
@given(st.dictionaries(st.sampled_from(KEYS) | st.sampled_from([k.split(".")[0] for k in KEYS]), JSON) | JSON)
def test_no_json_breaks_it(raw: Any) -> None:
    settings, problems = read(raw)
    assert isinstance(settings, Settings)
    assert all(problem.message for problem in problems)


# --- files ---


def in_folder(folder: Path, file: str, raw: dict[str, Any] | None = None, last: Scope | None = None) -> Any:
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "polyclone.toml").write_text(file, encoding="utf-8")
    return scope(str(folder), read(raw)[0], last)


def test_a_file_sets_what_the_client_leaves_open(tmp_path: Path) -> None:
    found, problems = in_folder(
        tmp_path, 'min-probability = 0.6\nsame-language = true\nlanguages = ["go"]\nexclude = ["a/"]'
    )
    assert problems == ()
    assert (found.min_probability, found.same_language, found.languages) == (0.6, True, ("go",))
    assert (found.exclude, found.exclude_base) == (("a/",), str(tmp_path))


def test_the_client_wins_over_the_file(tmp_path: Path) -> None:
    raw = {"precision": 0.9, "sameLanguage": False, "exclude": ["b/"]}
    found, _ = in_folder(tmp_path, 'min-probability = 0.6\nsame-language = true\nexclude = ["a/"]', raw)
    assert (found.min_probability, found.precision, found.same_language) == (None, 0.9, False)
    assert found.exclude == ("a/", "b/")


@pytest.mark.parametrize("key", ["model", "device", "jobs", "python", "server-path"])
def test_a_file_names_no_model_and_no_program(tmp_path: Path, key: str) -> None:
    found, problems = in_folder(tmp_path, f'{key} = "/tmp/evil"\n')
    assert len(problems) == 1
    assert key in problems[0].message
    assert found.file is None


def test_a_broken_file_keeps_what_it_said_before(tmp_path: Path) -> None:
    good, _ = in_folder(tmp_path, "min-probability = 0.6")
    found, problems = in_folder(tmp_path, "min-probability = 6", last=good)
    assert found.min_probability == 0.6
    assert "min-probability" in problems[0].message
