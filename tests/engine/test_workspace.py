"""Findings depend on content, bundle and options: not on caches, workers, order or what happened before."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polyclone import parsing, parsing_pool
from polyclone.api import default_jobs, scan
from polyclone.artifact import CARD, ENCODER, LEXICON, load_bundle
from polyclone.caching import (
    VECTOR,
    encode_cached,
    extraction_key,
    pack_extraction,
    unpack_extraction,
    vector_key,
)
from polyclone.encode import Advance, Encoded
from polyclone.errors import ModelError, UsageError
from polyclone.extract import extract, extract_snippet
from polyclone.languages import detect
from polyclone.model import Model, load_model
from polyclone.report import json_v1
from polyclone.store import BlobStore, MemoryStore, NullStore, open_store
from polyclone.values import Extraction, Function, ScanResult, SourceFile
from polyclone.workspace import Options, Progress, Workspace
from support.bundles import encoder_graph, lexicon, tiny_bundle
from support.polyglot import FUNCTIONS_A_FILE, TOTAL_ABOVE, framed, source, sources, write_workspace

SUBJECTS = 3
FILES = sources(SUBJECTS)
NONSENSE = "class A { }".encode("utf-16")


def held(
    model: Model, files: Mapping[str, tuple[str, str]], *, store: BlobStore | None = None, **options: object
) -> Workspace:
    """A workspace that holds `files`, path → (language, text)."""
    space = Workspace(model, options=Options(**options), store=store)  # type: ignore[arg-type]
    for path, (language, text) in files.items():
        space.update(path, text.encode(), language)
    return space


def comparable(result: ScanResult) -> ScanResult:
    """Without the two fields that only a scan of a disk has."""
    return dataclasses.replace(result, root="", skipped={})


def names(result: ScanResult) -> set[frozenset[str]]:
    return {frozenset((m.left.qualified_name, m.right.qualified_name)) for m in result.matches}


@pytest.fixture(scope="module")
def reference(model: Model) -> ScanResult:
    return held(model, FILES).result()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_workspace(tmp_path / "project", SUBJECTS)


class CountingEncoder:
    """An encoder that remembers what it was asked for."""

    def __init__(self, model: Model) -> None:
        self._inner = model.encoder
        self.units: list[str] = []

    @property
    def dimension(self) -> int:
        return self._inner.dimension

    def encode(self, units: Sequence[str], *, advance: Advance | None = None) -> Encoded:
        self.units += units
        return self._inner.encode(units, advance=advance)


@pytest.fixture
def counting(bundle: Path) -> tuple[Model, CountingEncoder]:
    """A model of its own, and its encoder."""
    model = load_model(bundle)
    encoder = CountingEncoder(model)
    model.encoder = encoder
    return model, encoder


# --- what is found ---


def test_the_same_algorithms_are_found_in_all_languages(reference: ScanResult) -> None:
    """Each of the made-up functions stands in four languages."""
    assert reference.files == 4 * SUBJECTS
    assert reference.functions == 4 * SUBJECTS * FUNCTIONS_A_FILE
    assert len(reference.groups) == FUNCTIONS_A_FILE * SUBJECTS
    assert all(len({member.language for member in group.members}) == 4 for group in reference.groups)
    assert reference.threshold == 0.6
    assert reference.failures == ()


def test_matches_are_sorted_and_of_two_languages(reference: ScanResult) -> None:
    assert all(match.left.language != match.right.language for match in reference.matches)
    assert all(match.left.path < match.right.path for match in reference.matches)
    assert all(match.probability >= reference.threshold for match in reference.matches)
    assert all(match.reasons for match in reference.matches)
    probabilities = [match.probability for match in reference.matches]
    assert probabilities == sorted(probabilities, reverse=True)
    assert len({match.fingerprint for match in reference.matches}) == len(reference.matches)


def test_an_empty_workspace(model: Model) -> None:
    result = Workspace(model).result()
    assert (result.files, result.functions, result.matches, result.groups) == (0, 0, (), ())
    assert Workspace(model).paths == ()


def test_a_single_function(model: Model) -> None:
    result = held(model, {"a.py": ("python", TOTAL_ABOVE["python"])}).result()
    assert (result.files, result.functions, result.matches) == (1, 1, ())


# --- cold, warm, alone and together ---


def disk(folder: Path, *, model: Model, jobs: int = 1, store: BlobStore | None = None) -> ScanResult:
    return scan([folder], model=model, jobs=jobs, store=store)


def test_cache_and_workers_change_nothing(
    folder: Path, tmp_path: Path, bundle: Path, reference: ScanResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "BATCH_BYTES", 2000)  # So that workers have something to do.
    one, two = load_model(bundle, threads=1), load_model(bundle, threads=2)
    memory = MemoryStore()
    warned: list[str] = []
    results = {
        "no cache": disk(folder, model=one),
        "no cache, two workers": disk(folder, model=two, jobs=2),
        "cold": disk(folder, model=one, store=memory),
        "warm": disk(folder, model=one, store=memory),
        "warm, two workers": disk(folder, model=two, jobs=2, store=memory),
    }
    for state in ("cold on disk, two workers", "warm on disk"):
        with closing(open_store(tmp_path / "cache", warn=warned.append)) as store:
            results[state] = disk(folder, model=two, jobs=2 if "two" in state else 1, store=store)
    for state, result in results.items():
        assert result == results["no cache"], state
        assert json_v1.render(result) == json_v1.render(results["no cache"]), state
        assert comparable(result) == reference, state
    assert warned == []


def test_a_warm_scan_computes_nothing(
    folder: Path, counting: tuple[Model, CountingEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = counting
    store = MemoryStore()
    cold = disk(folder, model=model, store=store)
    assert len(encoder.units) == len(set(encoder.units)) == cold.functions
    encoder.units.clear()
    monkeypatch.setattr(parsing, "run_here", None)
    monkeypatch.setattr(parsing_pool.Pool, "submit", None)
    assert disk(folder, model=model, store=store) == cold
    assert encoder.units == []


def test_only_what_changed_is_computed(folder: Path, counting: tuple[Model, CountingEncoder]) -> None:
    model, encoder = counting
    store = MemoryStore()
    disk(folder, model=model, store=store)
    encoder.units.clear()
    (folder / "python/harbour.py").rename(folder / "python/moved.py")
    changed = folder / "go/invoice.go"
    changed.write_text(changed.read_text().replace("middle - 1", "middle - 5"))
    result = disk(folder, model=model, store=store)
    assert [unit.count("FindInvoice") for unit in encoder.units] == [1]
    assert result == disk(folder, model=model)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"name": "other"}, True),
        ({"files": {CARD: b"# Another\n"}}, True),
        ({"token_budget": 300}, False),
        ({"files": {LEXICON: lexicon().to_text().replace("value\t900", "value\t899").encode()}}, False),
        ({"files": {ENCODER: encoder_graph(seed=7)}}, False),
    ],
    ids=["name", "card", "budget", "lexicon", "graph"],
)
def test_only_what_decides_a_vector_decides_its_key(
    changes: dict[str, Any], known: bool, folder: Path, model: Model, tmp_path: Path
) -> None:
    store = MemoryStore()
    disk(folder, model=model, store=store)
    before = store.stats().by_kind
    other = load_model(tiny_bundle(tmp_path, **changes))
    assert other.bundle.digest != model.bundle.digest
    assert (other.bundle.encoder_digest == model.bundle.encoder_digest) == known
    result = disk(folder, model=other, store=store)
    assert store.stats().by_kind[VECTOR] == before[VECTOR] * (1 if known else 2)
    assert store.stats().by_kind["extraction"] == before["extraction"]
    assert result == disk(folder, model=other)
    assert result.model.digest == other.bundle.digest


def test_warming_is_enough(folder: Path, counting: tuple[Model, CountingEncoder]) -> None:
    model, encoder = counting
    store = MemoryStore()
    space = Workspace(model, store=store)
    space.open([folder])
    assert space.warm() == (48, 0)
    encoder.units.clear()
    assert space.result() == disk(folder, model=model)
    assert len(encoder.units) == 48  # The scan without a cache, that is.


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(model: Model, reference: ScanResult, chance: random.Random) -> None:
    order = list(FILES)
    chance.shuffle(order)
    assert held(model, {path: FILES[path] for path in order}).result() == reference


# --- cache hit ≡ recompute ---

LANGUAGES = sorted(TOTAL_ABOVE)
SMALL = st.builds(
    lambda language, name, constant, doubled: (
        language,
        TOTAL_ABOVE[language].replace("total", name).replace("10", str(constant)).replace("* 2", f"* {doubled}"),
    ),
    st.sampled_from(LANGUAGES),
    st.sampled_from(["total", "summe", "weight", "score"]),
    st.sampled_from([10, 31, 977]),
    st.sampled_from([2, 3]),
)


def functions(codes: Sequence[tuple[str, str]]) -> list[Function]:
    return [extract_snippet(code, language) for language, code in codes]


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(SMALL, max_size=10), st.lists(SMALL, max_size=10))
def test_a_hit_is_what_would_be_computed(
    model: Model, before: list[tuple[str, str]], now: list[tuple[str, str]]
) -> None:
    store = MemoryStore()
    digest = model.bundle.encoder_digest
    encode_cached(functions(before), model.encoder, digest, store)
    told: list[int] = []
    codes, cut = encode_cached(functions(now), model.encoder, digest, store, told.append)
    fresh, fresh_cut = encode_cached(functions(now), model.encoder, digest, NullStore())
    again, again_cut = encode_cached(functions(now), model.encoder, digest, store)
    for other, other_cut in ((fresh, fresh_cut), (again, again_cut)):
        assert codes.values.tobytes() == other.values.tobytes()
        assert codes.scales.tobytes() == other.scales.tobytes()
        assert cut.tolist() == other_cut.tolist()
    assert sum(told) == len(now)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.lists(SMALL, max_size=8), st.lists(SMALL, max_size=8))
def test_findings_do_not_depend_on_what_was_cached(
    model: Model, before: list[tuple[str, str]], now: list[tuple[str, str]]
) -> None:
    def files(codes: list[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        return {f"{i}.x": (language, framed(language, code)) for i, (language, code) in enumerate(codes)}

    store = MemoryStore()
    held(model, files(before), store=store).result()
    assert held(model, files(now), store=store).result() == held(model, files(now)).result()


def test_a_truncated_unit_keeps_its_count_in_the_cache(model: Model) -> None:
    store = MemoryStore()
    long = extract_snippet("x = " + " + ".join(f"value{i}" for i in range(400)), "python")
    first = encode_cached([long], model.encoder, model.bundle.encoder_digest, store)[1]
    again = encode_cached([long], model.encoder, model.bundle.encoder_digest, store)[1]
    assert first.tolist() == again.tolist()
    assert first[0] > 0


def test_an_entry_of_another_size_is_a_miss(model: Model) -> None:
    (function,) = functions([("python", TOTAL_ABOVE["python"])])
    key = vector_key(function, model.bundle.encoder_digest)
    expected, _ = encode_cached([function], model.encoder, model.bundle.encoder_digest, NullStore())
    for content in (b"", b"x" * 10, b"x" * 4000):
        store = MemoryStore()
        store.put(VECTOR, {key: content})
        codes, _ = encode_cached([function], model.encoder, model.bundle.encoder_digest, store)
        assert codes.values.tobytes() == expected.values.tobytes()


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_extraction_survives_the_cache(language: str) -> None:
    text = f"{framed(language, TOTAL_ABOVE[language])}\n".encode()
    found = extract(text, language, "a/b.x")
    assert found.functions
    file = SourceFile(path="a/b.x", location="/a/b.x", language=language, size_bytes=len(text))
    assert unpack_extraction(pack_extraction(found), file) == found
    moved = dataclasses.replace(file, path="c/b.x")
    assert unpack_extraction(pack_extraction(found), moved) == extract(text, language, "c/b.x")


def test_failures_and_odd_text_survive_the_cache() -> None:
    odd = extract(b"def f():\n  '\xff\xfe\xed\xa0\x80'\n  return 'caf\xc3\xa9'\n" + b"}{" * 50, "python", "b.py")
    broken = extract(NONSENSE, "java", "b.java")
    assert odd.functions
    assert broken.failures
    for extraction, language in ((odd, "python"), (broken, "java"), (Extraction(), "go")):
        path = f"b.{'py' if language == 'python' else language}"
        file = SourceFile(path=path, location="", language=language, size_bytes=1)
        assert unpack_extraction(pack_extraction(extraction), file) == extraction


def test_keys_know_all_that_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    file = SourceFile(path="src/a.ts", location="/src/a.ts", language="typescript", size_bytes=1)
    key = extraction_key("d" * 64, file)
    assert len(key) == 32
    assert key == extraction_key("d" * 64, dataclasses.replace(file, path="lib/a.ts", location="x", size_bytes=9))
    others = [
        extraction_key("e" * 64, file),
        extraction_key("d" * 64, dataclasses.replace(file, path="src/a.tsx")),
        extraction_key("d" * 64, dataclasses.replace(file, language="javascript")),
    ]
    (function,) = functions([("python", TOTAL_ABOVE["python"])])
    vector = vector_key(function, "b")
    assert vector == vector_key(dataclasses.replace(function, path="z", name="z", qualified_name="z", kind="z"), "b")
    others += [
        vector,
        vector_key(function, "c"),
        vector_key(dataclasses.replace(function, language="ruby"), "b"),
        vector_key(dataclasses.replace(function, normalised="ix"), "b"),
    ]
    for name in ("NORMALISER_VERSION", "EXTRACTOR_VERSION"):
        with monkeypatch.context() as patch:
            patch.setattr(f"polyclone.caching.{name}", 99)
            others.append(extraction_key("d" * 64, file))
            if name == "NORMALISER_VERSION":
                others.append(vector_key(function, "b"))
    with monkeypatch.context() as patch:
        patch.setattr("polyclone.caching.grammar_version", lambda language: "99")
        others += [extraction_key("d" * 64, file), vector_key(function, "b")]
        # Two languages may have grammars of one version.
        others.append(vector_key(dataclasses.replace(function, language="ruby"), "b"))
        others.append(extraction_key("d" * 64, dataclasses.replace(file, language="javascript")))
    assert len({key, *others}) == 1 + len(others)


# --- update and remove ---

STATES = st.dictionaries(st.sampled_from(sorted(FILES)), st.integers(0, 2), max_size=8)


def variant(path: str, number: int) -> tuple[str, str]:
    """The file, the file with one function changed, or a file of another subject."""
    language, text = FILES[path]
    return language, (text, text.replace("31", "37"), source(language, "raven", 5))[number]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(STATES, STATES, st.randoms(use_true_random=False))
def test_changes_end_where_a_fresh_scan_ends(
    model: Model, before: dict[str, int], after: dict[str, int], chance: random.Random
) -> None:
    store = MemoryStore()
    space = held(model, {path: variant(path, number) for path, number in before.items()}, store=store)
    space.result()
    steps: list[Callable[[], object]] = [lambda p=p: space.remove(p) for p in before if p not in after]
    for path, number in after.items():
        language, text = variant(path, number)
        steps.append(lambda p=path, t=text, name=language: space.update(p, t.encode(), name))
    chance.shuffle(steps)
    for step in steps:
        step()
    expected = held(model, {path: variant(path, number) for path, number in after.items()})
    assert space.paths == expected.paths == tuple(sorted(after))
    assert space.functions == expected.functions
    assert space.result() == expected.result()


def test_changes_in_memory_equal_changes_on_disk(folder: Path, model: Model) -> None:
    space = Workspace(model)
    space.open([folder])
    before = space.result()
    text = FILES["go/invoice.go"][1].replace("middle - 1", "middle - 5")
    space.update("go/invoice.go", text.encode(), "go")
    space.update("ruby/new.rb", TOTAL_ABOVE["ruby"].encode(), "ruby")
    space.remove("python/voyage.py")
    space.remove("never/held.py")
    (folder / "go/invoice.go").write_text(text)
    (folder / "ruby").mkdir()
    (folder / "ruby/new.rb").write_text(TOTAL_ABOVE["ruby"])
    (folder / "python/voyage.py").unlink()
    changed = space.result()
    assert changed == disk(folder, model=model)
    assert changed != before
    space.open([folder])
    assert space.result() == changed


def test_update_returns_the_functions(model: Model) -> None:
    space = Workspace(model)
    found = space.update("a.py", FILES["python/voyage.py"][1].encode(), "python")
    assert [f.name for f in found] == ["total_voyage_weight", "largest_voyage_gap", "find_voyage", "voyage_checksum"]
    assert space.functions_in("a.py") == space.functions == found
    assert space.functions_in("b.py") == ()
    space.update("a.py", b"", "python")
    assert space.functions == ()
    assert space.paths == ("a.py",)


def test_broken_files_keep_their_good_functions_and_their_failure(model: Model) -> None:
    space = Workspace(model)
    for path in ("b.java", "a.java"):
        space.update(path, NONSENSE, "java")
    space.update("c.py", FILES["python/voyage.py"][1].encode() + b"\n\ndef broken(:\n", "python")
    assert [failure.path for failure in space.failures] == ["a.java", "b.java"]
    assert len(space.functions_in("c.py")) >= 4
    assert space.result().failures == space.failures


# --- identity ---

REFORMATTED = {
    "python": lambda text: text.replace("    ", "\t").replace("\n\n\n", "\n\n\n\n# a comment\n"),
    "javascript": lambda text: text.replace("  ", "      ").replace(") {", ")\n/* why */\n{").replace(";", " ;"),
    "go": lambda text: text.replace("\t", "   ").replace("{\n", "{ // a comment\n"),
    "java": lambda text: " ".join(text.split()).replace("{", "{\r\n").replace("(int ", "(  int\t"),
}


def test_moving_and_reformatting_keep_fingerprints(model: Model, reference: ScanResult) -> None:
    moved = {}
    for path, (language, text) in FILES.items():
        name = path.rpartition("/")[2]
        moved[f"elsewhere/{language}/deep/x{name}"] = (language, REFORMATTED[language](text))
    result = held(model, moved).result()
    assert {m.fingerprint: m.probability for m in result.matches} == {
        m.fingerprint: m.probability for m in reference.matches
    }
    assert {g.fingerprint for g in result.groups} == {g.fingerprint for g in reference.groups}
    assert all(m.left.path.startswith("elsewhere/") for m in result.matches)


def test_a_change_of_content_changes_the_fingerprint(model: Model) -> None:
    files = {"a.py": FILES["python/voyage.py"], "b.go": FILES["go/voyage.go"]}
    before = {m.fingerprint for m in held(model, files).result().matches}
    files["a.py"] = ("python", files["a.py"][1].replace("65521", "65537"))
    after = {m.fingerprint for m in held(model, files).result().matches}
    assert len(before - after) == len(after - before) == 1


# --- what is counted ---


def test_small_and_long_functions_are_counted(model: Model) -> None:
    long = "def long(xs):\n" + "".join(f"    number{i} = xs[{i}] * {i}\n" for i in range(100)) + "    return xs\n"
    text = f"def tiny():\n    return 1\n\n\ndef small(a):\n    return a\n\n\n{long}"
    space = held(model, {"a.py": ("python", text), "copy.py": ("python", text), "b.go": FILES["go/voyage.go"]})
    result = space.result()
    assert result.functions == 10
    assert result.too_small == 4
    assert result.truncated == 2
    everything = held(model, {"a.py": ("python", text)}, min_atoms=1).result()
    assert (everything.functions, everything.too_small) == (3, 0)
    nothing = held(model, FILES, min_atoms=10_000).result()
    assert (nothing.functions, nothing.too_small, nothing.matches) == (48, 48, ())
    assert space.warm() == (10, 4)


def test_a_function_of_just_enough_atoms_is_judged(model: Model) -> None:
    (function,) = Workspace(model).update("a.py", TOTAL_ABOVE["python"].encode(), "python")
    size = len(function.atoms)
    assert Workspace(model, options=Options(min_atoms=size)).judgeable(function)
    assert not Workspace(model, options=Options(min_atoms=size + 1)).judgeable(function)


# --- one language ---


def test_pairs_of_one_language_are_for_those_who_ask(model: Model) -> None:
    renamed = TOTAL_ABOVE["python"].replace("total", "overall")
    files = {
        "a.py": ("python", TOTAL_ABOVE["python"]),
        "b.py": ("python", TOTAL_ABOVE["python"] + "\n\n" + renamed),
        "c.go": ("go", framed("go", TOTAL_ABOVE["go"])),
    }
    apart = held(model, files).result()
    assert all(m.left.language != m.right.language for m in apart.matches)
    together = held(model, files, same_language=True).result()
    inside = [m for m in together.matches if m.left.language == m.right.language]
    assert {frozenset((m.left.name, m.right.name)) for m in inside} == {
        frozenset(("total",)),
        frozenset(("total", "overall")),
    }
    (same,) = [m for m in inside if m.left.digest == m.right.digest]
    assert (same.left.path, same.right.path, same.probability) == ("a.py", "b.py", 1.0)
    assert [reason.kind for reason in same.reasons] == ["identical"]
    assert set(apart.matches) <= set(together.matches)


def test_copies_are_all_reported(model: Model) -> None:
    files = {f"{i}.py": ("python", TOTAL_ABOVE["python"]) for i in range(3)}
    files |= {f"{i}.go": ("go", framed("go", TOTAL_ABOVE["go"])) for i in range(2)}
    result = held(model, files).result()
    assert len(result.matches) == 6
    assert len({(m.probability, m.fingerprint) for m in result.matches}) == 1
    (group,) = result.groups
    assert len(group.members) == 5


# --- thresholds ---


def test_a_lower_threshold_only_adds(model: Model) -> None:
    previous: set[str] = set()
    for least in (0.99, 0.9, 0.6, 0.2, 0.0):
        result = held(model, FILES, min_probability=least).result()
        found = {m.fingerprint for m in result.matches}
        assert previous <= found
        assert all(m.probability >= least for m in result.matches)
        previous = found


def test_the_wish_for_a_precision(model: Model) -> None:
    assert held(model, FILES, precision=0.5).result().threshold == 0.3
    assert held(model, FILES, precision=0.95).result().threshold == 0.8
    with pytest.raises(ModelError, match="goes up to"):
        held(model, FILES, precision=0.99).result()
    with pytest.raises(UsageError, match="not both"):
        held(model, FILES, precision=0.9, min_probability=0.5).result()
    for least in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError, match="between 0 and 1"):
            held(model, FILES, min_probability=least).result()


# --- query ---


def test_a_query_ranks_the_other_languages(model: Model) -> None:
    space = held(model, FILES)
    (target,) = [f for f in space.functions if f.name == "find_voyage"]
    found = space.query(target, limit=5)
    assert {m.right.name for m in found[:3]} == {"findVoyage", "FindVoyage"}
    assert {m.right.language for m in found[:3]} == {"go", "java", "javascript"}
    assert len(found) == 5
    assert [m.probability for m in found] == sorted((m.probability for m in found), reverse=True)
    assert all(m.left == target and m.right.language != "python" and m.reasons for m in found)
    assert space.query(target, limit=1) == found[:1]
    assert len(space.query(target, limit=1000)) == 36


def test_a_query_may_come_from_outside(model: Model) -> None:
    space = held(model, FILES)
    snippet = extract_snippet(FILES["python/voyage.py"][1].split("\n\n\n")[2], "python")
    found = space.query(snippet)
    assert {m.right.name for m in found[:3]} == {"findVoyage", "FindVoyage"}
    (inside,) = [f for f in space.functions if f.name == "find_voyage"]
    assert [(m.right, m.probability) for m in space.query(inside)] == [(m.right, m.probability) for m in found]


def test_a_query_does_not_find_itself_its_copies_or_its_callers(model: Model) -> None:
    caller = "def report(values, limit):\n    result = total(values, limit)\n    for value in values:\n" + (
        "        if value > limit and value != 10:\n            result += value * 2\n    return result\n"
    )
    files = {
        "a.py": ("python", TOTAL_ABOVE["python"]),
        "copy.py": ("python", TOTAL_ABOVE["python"]),
        "b.py": ("python", TOTAL_ABOVE["python"].replace("total", "overall")),
        "c.go": ("go", framed("go", TOTAL_ABOVE["go"])),
        "d.py": ("python", caller),
    }
    space = held(model, files, same_language=True)
    (target,) = space.functions_in("a.py")
    assert {m.right.path for m in space.query(target)} == {"b.py", "c.go"}
    (go,) = space.functions_in("c.go")
    assert {m.right.path for m in space.query(go)} == {"a.py", "b.py", "copy.py"}
    apart = held(model, files)
    assert {m.right.path for m in apart.query(target)} == {"c.go"}


def test_a_query_for_too_little(model: Model) -> None:
    space = held(model, FILES)
    assert space.query(extract_snippet("return 1", "python")) == ()
    alone = held(model, {"a.py": FILES["python/voyage.py"]})
    assert alone.query(alone.functions[0]) == ()


def test_a_query_does_not_depend_on_the_cache(model: Model) -> None:
    store = MemoryStore()
    cold, warm = held(model, FILES, store=store), held(model, FILES, store=store)
    (target,) = [f for f in cold.functions if f.name == "voyageChecksum" and f.language == "java"]
    assert cold.query(target) == warm.query(target) == held(model, FILES).query(target)


# --- places ---


def test_the_innermost_function_around_a_line(model: Model) -> None:
    text = "def outer(a):\n    def inner(b):\n        return b\n    return inner(a)\n\n\nx = 1\n"
    space = held(model, {"a.py": ("python", text)})
    where = [space.locate("a.py", line0) for line0 in range(7)]
    assert [found.name if found else None for found in where] == [
        "outer",
        "inner",
        "inner",
        "outer",
        None,
        None,
        None,
    ]
    assert space.locate("b.py", 0) is None


def test_an_offset_tells_two_functions_of_one_line_apart(model: Model) -> None:
    text = "const one = (a) => a + 1; const other = (b) => b + 2;\n"
    space = held(model, {"a.js": ("javascript", text)})
    found = {space.locate("a.js", 0, text.index(mark)) for mark in ("a + 1", "b + 2")}
    assert {f.name for f in found if f} == {"one", "other"}
    assert space.locate("a.js", 0, len(text) + 5) is None


# --- from a disk ---


def test_a_scan_is_a_workspace_that_was_opened(folder: Path, model: Model) -> None:
    (folder / "node_modules").mkdir()
    (folder / "node_modules/x.js").write_text("function f() {}")
    (folder / "utf16.py").write_bytes("def f(): pass".encode("utf-16"))
    told: list[Progress] = []
    result = scan([folder], model=model, report=told.append)
    assert result.root == str(folder)
    assert result.skipped
    stages = list(dict.fromkeys(progress.stage for progress in told))
    assert stages == ["discover", "parse", "encode", "search", "judge"]
    for stage in stages[1:]:
        last = [progress for progress in told if progress.stage == stage][-1]
        assert last.done == last.total
    assert all(match.left.path in FILES for match in result.matches)
    space = Workspace(model)
    space.open([folder])
    assert space.result() == result


def test_languages_may_be_chosen(folder: Path, model: Model) -> None:
    result = scan([folder], model=model, languages=["py", "golang"])
    assert {f.language for m in result.matches for f in (m.left, m.right)} == {"go", "python"}
    with pytest.raises(UsageError, match="klingon"):
        scan([folder], model=model, languages=["klingon"])
    with pytest.raises(UsageError):
        scan([folder / "nowhere"], model=model)
    assert default_jobs() >= 1


def test_paths_decide_about_languages_as_in_a_scan(folder: Path, model: Model) -> None:
    for path, (language, text) in FILES.items():
        assert detect(path, text.encode()) == language
    space = Workspace(model)
    space.open([folder])
    assert space.paths == tuple(sorted(FILES))
    assert np.all([f.language == FILES[f.path][0] for f in space.functions])
    assert load_bundle(model.bundle.location).digest == space.result().model.digest
