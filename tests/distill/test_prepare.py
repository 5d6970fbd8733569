"""From parquet files to shards: classes across sources, splits that share none, no copies, labels that agree."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from polyclone.errors import UsageError
from polyclone.normalise import NORMALISER_VERSION
from polyclone.tokenizer import MARKERS, NAME, Lexicon, Tokenizer, WordPiece, dense_words
from polyclone.values import ATOM_SEPARATOR
from polyclone_distill.data.classes import (
    UnionFind,
    cluster_tasks,
    drop_duplicates,
    library_ports,
    shape,
    task_key,
    title,
)
from polyclone_distill.data.programs import COLUMNS, Program, read_parquet
from polyclone_distill.data.tokenise import make_shard
from polyclone_distill.data.units import MIN_ATOMS, Unit, extract_units, units_of_task_program
from polyclone_distill.data.vocabulary import build_lexicon, stand_ins, tokenizer_json, trim_vocabulary
from polyclone_distill.prepare import prepare
from polyclone_distill.pretrained import minilm_vocabulary, start_encoder
from polyclone_distill.trainer.batches import BatchConfig, Sampler
from polyclone_distill.trainer.run import load_encoder, load_vocabulary
from polyclone_distill.trainer.shards import DOC, FUNCTION, PROGRAM, Shard
from support.corpus import EXERCISES, exercises, libraries, renamed, row, write_rows
from support.polyglot import ALGORITHMS, source

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def units(prepared: Path) -> list[dict[str, Any]]:
    return pq.read_table(prepared / "units.parquet").to_pylist()


@pytest.fixture(scope="module")
def report(prepared: Path) -> dict[str, Any]:
    return dict(json.loads((prepared / "prepared.json").read_text("utf-8")))


def made(**changes: Any) -> Unit:
    values: dict[str, Any] = {
        "program": 0,
        "role": "program",
        "task": "rosetta/some-task",
        "split": "train",
        "language": "python",
        "source": "rosetta",
        "license": "MIT",
        "path": "a.py",
        "name": "f",
        "qualified_name": "f",
        "doc": "",
        "normalised": atoms("cf ix kreturn", 60),
    }
    return Unit(**{**values, **changes})


def atoms(start: str, count: int, tail: str = "iy") -> str:
    words = start.split()
    return ATOM_SEPARATOR.join([*words, *[tail] * (count - len(words))])


# --- end to end ---


def test_what_is_written(prepared: Path, report: dict[str, Any]) -> None:
    assert {path.name for path in prepared.iterdir()} == {
        "ids.json",
        "lexicon.tsv",
        "prepared.json",
        "stand_ins.npz",
        "start.pt",
        "tokenizer.json",
        "train.npz",
        "units.parquet",
        "valid.npz",
    }
    assert report["normaliser_version"] == NORMALISER_VERSION
    for name, digest in report["inputs"].items():
        assert hashlib.sha256((prepared.parent / name).read_bytes()).hexdigest() == digest
    assert report["train_units"] == sum(entry["units"] for entry in report["sources"])
    assert {entry["license"] for entry in report["sources"]} == {"MIT"}


def test_every_exercise_is_in_its_split(units: list[dict[str, Any]]) -> None:
    for task, split in EXERCISES.items():
        held = [unit for unit in units if unit["task"] == task]
        assert {unit["split"] for unit in held} == {split}
        assert {(unit["language"], unit["role"]) for unit in held} == {
            (language, role) for language in ALGORITHMS for role in ("program", "function")
        }
    assert {unit["language"] for unit in units} <= {*ALGORITHMS, "rust", "c"}
    assert not [unit for unit in units if unit["task"] == "rosetta/nothing"]


def test_no_class_stands_in_two_splits(units: list[dict[str, Any]], report: dict[str, Any]) -> None:
    splits: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        if unit["task"] is not None:
            splits[unit["class"]].add(unit["split"])
    assert all(len(found) == 1 for found in splits.values())
    assert report["classes"] == len(splits) == sum(report["class_splits"].values())
    programs: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        if unit["role"] == "program":
            programs[unit["normalised"]].add(unit["split"])
    assert all(len(found) == 1 for found in programs.values())


def test_tasks_of_one_title_or_one_program_are_one_class(units: list[dict[str, Any]], report: dict[str, Any]) -> None:
    classes = {(unit["task"], unit["path"]): unit["class"] for unit in units if unit["task"] is not None}
    by_task = {task: name for (task, _), name in classes.items()}
    assert by_task["rosetta/violin"] == by_task["euler/the-violin"]
    assert by_task["rosetta/raven"] == by_task["kattis/bird-song"]
    assert len({by_task[task] for task in EXERCISES}) == len(EXERCISES)
    # Its program is one of the test split, and takes the others of its task along.
    moved = [unit for unit in units if unit["task"] == "kattis/bird-song"]
    assert {unit["split"] for unit in moved} == {"test"}
    assert report["units_moved_out_of_a_split_their_class_left"] == 4
    numbered = {name for (task, _), name in classes.items() if task == "euler/sol1"}
    assert len(numbered) == 2


def test_copies_are_dropped(units: list[dict[str, Any]], report: dict[str, Any]) -> None:
    assert not [unit for unit in units if unit["path"] == "copy.py"]
    assert not [unit for unit in units if unit["path"] == "bird.py"]
    assert report["duplicates_dropped"] > 0
    exercise_units = [unit for unit in units if unit["task"] is not None]
    assert report["task_units"] - report["duplicates_dropped"] == len(exercise_units)
    seen = Counter((u["class"], u["language"], u["role"], u["normalised"]) for u in exercise_units)
    assert max(seen.values()) == 1


def test_shards_and_units_agree(prepared: Path, units: list[dict[str, Any]], report: dict[str, Any]) -> None:
    train, valid = Shard.load(prepared / "train.npz"), Shard.load(prepared / "valid.npz")
    plain = [u for u in units if u["split"] == "train"]
    assert np.count_nonzero(train.kind != DOC) == len(plain) == report["train_units"]
    assert len(valid) == report["valid_units"] == sum(u["split"] == "valid" for u in units)
    roles = {"program": PROGRAM, "function": FUNCTION}
    assert train.kind[: len(plain)].tolist() == [roles[u["role"]] for u in plain]
    assert train.program[: len(plain)].tolist() == [u["program"] for u in plain]
    # Two exercise units have one label if and only if they are of one class.
    labels: defaultdict[str, set[int]] = defaultdict(set)
    for unit, label in zip(plain, train.label.tolist(), strict=False):
        if unit["class"]:
            labels[unit["class"]].add(label)
    assert all(len(found) == 1 and min(found) >= 0 for found in labels.values())
    assert len(set.union(*labels.values())) == len(labels)
    # No label of one shard occurs in the other.
    assert not set(train.label[train.label >= 0].tolist()) & set(valid.label.tolist())
    assert (valid.label >= 0).all()


def test_documentation_stands_beside_its_function(prepared: Path, units: list[dict[str, Any]]) -> None:
    train = Shard.load(prepared / "train.npz")
    plain = [u for u in units if u["split"] == "train"]
    docs = np.flatnonzero(train.kind == DOC)
    documented = [plain[int(train.partner[row])] for row in docs]
    assert {unit["qualified_name"] for unit in documented} == {
        "TariffTable.compute_tariff",
        "TariffTable.computeTariff",
    }
    assert (train.label[docs] == -1).all()
    assert (train.partner[train.kind != DOC] == -1).all()
    assert train.program[docs].tolist() == [unit["program"] for unit in documented]


def test_ports_within_a_library_are_a_class(
    prepared: Path, units: list[dict[str, Any]], report: dict[str, Any]
) -> None:
    train = Shard.load(prepared / "train.npz")
    plain = [u for u in units if u["split"] == "train"]
    ported = [i for i, u in enumerate(plain) if u["task"] is None and train.label[i] >= 0]
    assert report["library_ports"] == len(ported) == 2
    assert {plain[i]["language"] for i in ported} == {"python", "java"}
    assert len({int(train.label[i]) for i in ported}) == 1
    assert train.label[ported[0]] not in {train.label[i] for i, u in enumerate(plain) if u["task"] is not None}


def test_tokens_are_those_of_the_engine(prepared: Path, units: list[dict[str, Any]]) -> None:
    """Training reads what serving reads: the same ids in the same order."""
    tokenizer = Tokenizer(
        WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8")),
        Lexicon.from_text((prepared / "lexicon.tsv").read_text("utf-8")),
        budget=400,
    )
    train = Shard.load(prepared / "train.npz")
    for i, unit in enumerate([u for u in units if u["split"] == "train"]):
        text = unit["normalised"].split(ATOM_SEPARATOR)
        ids, cut = tokenizer.ids(text)
        held = train.tokens[train.token_offsets[i] : train.token_offsets[i + 1]]
        if not cut:
            assert held.tolist()[: len(ids) - 2] == ids[1:-1].tolist()
        words = train.words[train.word_offsets[i] : train.word_offsets[i + 1]]
        if len(words) < 400:
            assert sorted(set(words.tolist())) == tokenizer.bag(text).ids.tolist()


def test_owners_name_the_identifier(prepared: Path, units: list[dict[str, Any]]) -> None:
    train = Shard.load(prepared / "train.npz")
    wordpiece = WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8"))
    for i, unit in enumerate([u for u in units if u["split"] == "train"][:40]):
        tokens, owners = [], []
        names = {unit["name"]: 0} if unit["name"] else {}
        for atom in unit["normalised"].split(ATOM_SEPARATOR):
            who = names.setdefault(atom[1:], len(names)) if atom[0] in "ic" else -1
            for word in dense_words(atom):
                ids = wordpiece.word(word)
                tokens += ids
                owners += [who] * len(ids)
        at = slice(train.token_offsets[i], train.token_offsets[i + 1])
        assert train.tokens[at].tolist() == tokens[: len(train.tokens[at])]
        assert train.token_owner[at].tolist() == owners[: len(train.tokens[at])]
        assert train.named[i] == bool(unit["name"])
        called = train.called[train.owner_offsets[i] : train.owner_offsets[i + 1]]
        assert len(called) == len(names)
        assert not unit["name"] or called[0] == 0


def test_the_trainer_takes_it(prepared: Path) -> None:
    train = Shard.load(prepared / "train.npz")
    vocabulary = load_vocabulary(prepared)
    batch = Sampler(train, vocabulary, BatchConfig(pairs=6, budget=64), 1).batch(0)
    assert int(batch.input_ids.max()) < vocabulary.size
    encoder = load_encoder(prepared / "start.pt")
    assert encoder.config.vocabulary == vocabulary.size
    assert int(batch.word_ids.max()) < encoder.config.lexicon
    assert encoder.config.layers == 1


def test_preparing_again_gives_the_same(prepared: Path, tmp_path: Path) -> None:
    inputs = [prepared.parent / name for name in ("tasks.parquet", "repositories.parquet")]
    prepare([inputs[0]], [inputs[1]], tmp_path / "again", jobs=1, layers=1)
    for path in sorted(prepared.iterdir()):
        other = tmp_path / "again" / path.name
        if path.suffix == ".npz":
            with np.load(path) as one, np.load(other) as two:
                assert one.files == two.files
                assert all(np.array_equal(one[name], two[name]) for name in one.files), path.name
        elif path.suffix == ".pt":
            one, two = (torch.load(p, weights_only=True)["state"] for p in (path, other))
            assert all(torch.equal(one[name], two[name]) for name in one)
        else:
            assert path.read_bytes() == other.read_bytes(), path.name


def test_workers_change_nothing() -> None:
    programs = [Program(**entry) for entry in exercises()[:6]]  # type: ignore[arg-type]
    assert list(extract_units(programs, library=False, jobs=1)) == list(
        extract_units(programs, library=False, jobs=2)
    )


# --- reading ---


def test_reading_keeps_to_what_is_asked_for(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "a.parquet", exercises())
    everything = list(read_parquet(path))
    assert len(everything) == len(exercises()) - 1  # COBOL is none of ours.
    assert {p.split for p in read_parquet(path, splits=["valid"])} == {"valid"}
    assert {p.language for p in read_parquet(path, languages=["go", "java"])} == {"go", "java"}


def test_a_file_that_does_not_fit_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        list(read_parquet(tmp_path / "none.parquet"))
    path = tmp_path / "b.parquet"
    table = pq.read_table(write_rows(tmp_path / "a.parquet", exercises()))
    pq.write_table(table.drop_columns(["license", "task"]), path)
    with pytest.raises(UsageError, match="lacks the columns task, license"):
        list(read_parquet(path))
    assert set(COLUMNS) == set(table.column_names)


# --- units ---


def program(code: str, language: str = "python", path: str = "a.py") -> Program:
    return Program(**row("rosetta/x", "train", language, "rosetta", path, code))  # type: ignore[arg-type]


def test_a_program_and_its_main_function() -> None:
    whole, main = units_of_task_program(7, program(source("python", "violin", 3)))
    assert (whole.role, main.role) == ("program", "function")
    assert whole.name == main.name == "find_violin"
    assert (whole.program, main.program) == (7, 7)
    assert main.normalised in whole.normalised
    (script,) = units_of_task_program(1, program("\n".join(f"print({i} + x)" for i in range(2))))[:1] or [None]
    assert script is None or script.role == "program"
    assert units_of_task_program(0, program("x = 1")) == []
    assert all(u.normalised.count(ATOM_SEPARATOR) + 1 >= MIN_ATOMS for u in (whole, main))


def test_programs_are_numbered_in_order() -> None:
    programs = [program(source("python", "violin", k)) for k in range(3)]
    found = list(extract_units(programs, library=False, jobs=1, first=5))
    assert sorted({unit.program for unit in found}) == [5, 6, 7]
    library = list(extract_units(programs, library=True, jobs=1))
    assert [unit.name for unit in library[:3]] == ["largest_violin_gap", "find_violin", "violin_checksum"]
    assert sorted({unit.program for unit in library}) == [0, 1, 2]
    assert all(unit.role == "function" for unit in library)


# --- classes ---


@pytest.mark.parametrize(
    ("task", "path", "expected"),
    [
        ("rosetta/Binary-search", "a.py", "binarysearch"),
        ("rosetta/The Sum of Digits of a Number", "a.py", "digits"),
        ("algorithms/binary_search", "searches/binary_search.py", "binarysearch"),
        ("rosetta/gcd", "a.py", ""),  # Too short to mean anything.
        ("euler/sol1", "project/problem_001/sol1.py", ""),
        ("leetcode/509", "solution/0509.Fibonacci Number/Solution.java", "fibonacci"),
        ("leetcode/509", "solution/0500-0599/0509.Fibonacci Number/Solution.java", "fibonacci"),
        ("leetcode/1", "src/s0001_two_sum_values/Solution.java", ""),
        ("leetcode/704", "python/0704-binary-search.py", "binarysearch"),
        ("leetcode/704", "odd/path.py", ""),
    ],
)
def test_titles(task: str, path: str, expected: str) -> None:
    assert title(made(task=task, path=path)) == expected


def test_numbered_files_are_tasks_by_their_folder() -> None:
    assert task_key(made(task="euler/sol1", path="p1/sol1.py")) == "euler/sol1@p1"
    assert task_key(made(task="euler/sol12", path="p1/sol12.py")) == "euler/sol12@p1"
    assert task_key(made(task="euler/main", path="p2/main.go")) == "euler/main@p2"
    assert task_key(made(task="euler/solver", path="p2/solver.go")) == "euler/solver"


def test_a_shape_does_not_know_names() -> None:
    one, other = (
        units_of_task_program(0, program(code))[0]
        for code in (source("python", "violin", 3), renamed(source("python", "violin", 3)))
    )
    assert one.normalised != other.normalised
    assert shape(one) == shape(other) is not None
    assert shape(one) != shape(dataclasses.replace(one, language="ruby"))
    different = units_of_task_program(0, program(source("python", "violin", 4)))[0]
    assert shape(different) != shape(one)
    assert shape(made(normalised=atoms("ix", 39))) is None
    assert shape(made(normalised=atoms("ix", 40))) is not None
    # Which name stands where does matter.
    assert shape(made(normalised=atoms("ix iz ix", 50))) != shape(made(normalised=atoms("ix iz iz", 50)))


def test_clusters_take_the_split_that_must_not_leak() -> None:
    same = atoms("cf n7", 50)
    found, splits = cluster_tasks(
        [
            made(task="a/sorted-list", split="train", normalised=atoms("cf n1", 50)),
            made(task="b/sorted_list", split="valid", normalised=atoms("cf n2", 50)),
            made(task="c/other-title", split="test", normalised=same),
            made(task="b/sorted_list", split="valid", normalised=same),
            made(task="d/alone-here", split="train", normalised=atoms("cf n3", 50)),
            made(task="e/by-function", split="train", role="function", normalised=same),
        ]
    )
    assert found["a/sorted-list"] == found["b/sorted_list"] == found["c/other-title"] == "a/sorted-list"
    assert len({found["a/sorted-list"], found["d/alone-here"], found["e/by-function"]}) == 3
    assert splits == {"a/sorted-list": "test", "d/alone-here": "train", "e/by-function": "train"}


def test_clusters_do_not_depend_on_the_order() -> None:
    units = [made(task=f"s{i}/title-{'abcdef'[i % 3] * 5}", normalised=atoms(f"n{i // 2}", 50)) for i in range(12)]
    assert cluster_tasks(units) == cluster_tasks(units[::-1])


def test_disjoint_sets() -> None:
    sets = UnionFind()
    for a, b in (("d", "c"), ("b", "a"), ("c", "b"), ("x", "y")):
        sets.union(a, b)
    assert [sets.find(key) for key in "abcdxyz"] == ["a", "a", "a", "a", "x", "x", "z"]


def test_copies_within_a_class_and_language() -> None:
    a, b = atoms("cf ione n5", 50), atoms("cf itwo n5", 50)
    classes = {"r/one": "r/one", "r/two": "r/two"}
    units = [
        made(task="r/one", normalised=a),
        made(task="r/one", normalised=b),
        made(task="r/one", normalised=b, role="function"),
        made(task="r/one", normalised=b, language="go"),
        made(task="r/two", normalised=b),
        made(task=None, normalised=b),
        made(task=None, normalised=a),
    ]
    assert drop_duplicates(units, classes) == [units[0], *units[2:6]]


def port(language: str, name: str, origin: str = "acme/x", text: str = "cf ialpha ibeta igamma") -> Unit:
    return made(task=None, role="function", language=language, source=origin, qualified_name=name,
                normalised=atoms(text, 40))  # fmt: skip


def test_ports_of_a_library() -> None:
    same = [port("python", "Table.compute_rate"), port("java", "Table.computeRate")]
    assert set(library_ports(same).values()) == {"port/acme/x/table.computerate"}
    assert set(library_ports(same)) == {0, 1}
    for other in (
        port("java", "Table.computeRate", origin="acme/y"),
        port("python", "Table.computeRate"),
        port("java", "Table.otherRate"),
        port("java", "Tab.computeRate"),
        port("java", "Table.computeRate", text="cg idelta iepsilon izeta"),
        dataclasses.replace(port("java", "Table.computeRate"), normalised=atoms("cf ialpha ibeta igamma", 400)),
    ):
        found = library_ports([same[0], other])
        different = "idelta" in other.normalised and found == {0: found.get(0), 1: found.get(1)}
        assert found == {} or different, other
    assert library_ports([port("python", "compute_rate"), port("java", "computeRate")]) == {}
    assert library_ports([same[0], *[port("java", "Table.computeRate")] * 3]) == {}
    assert library_ports([port("python", "TableTest.compute_rate"), port("java", "TableTest.computeRate")]) == {}


# --- vocabularies ---


def test_the_vocabulary_keeps_what_is_used_and_every_character() -> None:
    full = minilm_vocabulary()
    frequent = [made(normalised=atoms("creturned_items n42", 60, "ivalue"))] * 4
    table = trim_vocabulary(full, frequent)
    wordpiece = WordPiece(table)
    assert list(table.values()) == list(range(len(table)))
    assert list(table)[: 4 + len(MARKERS)] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *MARKERS]
    for word in ("value", "items", "returned", "42"):
        assert wordpiece.unk not in wordpiece.word(word)
    assert len(wordpiece.word("value")) == 1
    assert len(wordpiece.word("kitchen")) == 7  # Spelt out: nobody used it.
    assert wordpiece.unk not in wordpiece.word("qzxj0123456789")
    assert "value" not in trim_vocabulary(full, [made(normalised="ivalue")])
    assert trim_vocabulary(full, frequent) == table


def test_the_lexicon_holds_the_most_frequent_words() -> None:
    texts = ["ialpha ibeta", "ialpha ibeta igamma", "ialpha n31", "ialpha ibeta n31", "n31 igamma"]
    held = build_lexicon([made(normalised=text.replace(" ", ATOM_SEPARATOR)) for text in texts])
    assert held.words == (("alpha", 4), ("#31", 3), ("beta", 3))
    assert held.documents == 5


def test_stand_ins_say_nothing(prepared: Path) -> None:
    wordpiece = WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8"))
    held = Lexicon.from_text((prepared / "lexicon.tsv").read_text("utf-8"))
    tokens, words = stand_ins(wordpiece, held)
    assert tokens.shape == (len(words), 4)
    assert (tokens[:, 0] > 0).all()
    assert words.min() > 0
    assert words.max() < held.size
    again = stand_ins(wordpiece, held)
    assert np.array_equal(tokens, again[0])
    assert np.array_equal(words, again[1])


def test_the_tokenizer_is_one_that_hugging_face_reads(prepared: Path) -> None:
    import tokenizers

    text = (prepared / "tokenizer.json").read_text("utf-8")
    theirs, ours = tokenizers.Tokenizer.from_str(text), WordPiece.from_json(text)
    for word in ("harbour", "checksum", "zyzzyva", "0123", "é"):
        assert theirs.encode(word, add_special_tokens=False).ids == list(ours.word(word))
    assert tokenizer_json(ours.vocabulary) == text
    assert json.loads((prepared / "ids.json").read_text("utf-8"))["name"] == ours.vocabulary[NAME]


def test_the_start_knows_what_the_pretrained_model_knows(prepared: Path) -> None:
    """A kept token has the row it had; the lexicon is noise at the scale of each word's idf."""
    from polyclone_distill.pretrained import minilm_directory
    from safetensors.torch import load_file

    wordpiece = WordPiece.from_json((prepared / "tokenizer.json").read_text("utf-8"))
    held = Lexicon.from_text((prepared / "lexicon.tsv").read_text("utf-8"))
    encoder = start_encoder(wordpiece.vocabulary, held, layers=1)
    weights = load_file(str(minilm_directory() / "model.safetensors"))
    old = minilm_vocabulary()
    table = weights["embeddings.word_embeddings.weight"]
    for token in ("return", "##s", "[CLS]", "a"):
        assert torch.equal(encoder.body.words.weight[wordpiece.vocabulary[token]], table[old[token]])
    assert torch.equal(encoder.body.words.weight[wordpiece.vocabulary[NAME]], table[old["name"]])
    both = torch.stack([table[old["<"]], table[old["="]]]).mean(0)
    torch.testing.assert_close(encoder.body.words.weight[wordpiece.vocabulary["[<=]"]], both)
    norms = encoder.lexicon.weight.detach().norm(dim=1)
    assert norms[0] == 0
    (word, _), *_ = held.words
    assert float(norms[1]) == pytest.approx(held.idf(word), rel=0.25)
    assert float(norms[-2000:].mean()) == pytest.approx(held.idf("unheard of"), rel=0.02)


def test_long_units_lose_their_middle() -> None:
    lexicon = Lexicon([("value", 1)], 1, 10)
    tokenizer = Tokenizer(WordPiece(trim_vocabulary(minilm_vocabulary(), [])), lexicon, 512)
    numbers = [f"n{i % 10}" for i in range(3000)]
    unit = made(name="", normalised=ATOM_SEPARATOR.join(numbers))
    shard = make_shard([unit], {0: 3}, tokenizer)
    whole = [tokenizer.wordpiece.word(n[1:])[0] for n in numbers]
    kept = len(shard.tokens)
    head = kept * 5 // 8
    assert 256 <= kept < 3000
    assert shard.tokens.tolist() == whole[:head] + whole[len(whole) - (kept - head) :]
    assert shard.label.tolist() == [3]
    assert shard.named.tolist() == [0]


def test_a_limit_takes_the_first_rows(tmp_path: Path) -> None:
    tasks = write_rows(tmp_path / "t.parquet", exercises())
    repositories = write_rows(tmp_path / "r.parquet", libraries())
    report = prepare([tasks], [repositories], tmp_path / "out", jobs=1, layers=1, limit=24)
    assert report["task_units"] == 48
    assert report["limit"] == 24


# --- signatures ---


@pytest.mark.parametrize(
    ("language", "code", "before"),
    [
        (
            "python",
            "def area(width, height):\n"
            "    return width * height + width * 2 + height * 2 - 1 + width * 3 - height * 4 + 5 * width\n",
            "area width height",
        ),
        (
            "go",
            "func area(w int, h int) int {\n\treturn w*h + w*2 + h*2 - 1 + w*3 - h*4\n}\n",
            "area w int h int int",
        ),
        (
            "java",
            "class A {\n  static int area(int w, int h)"
            " { return w * h + w * 2 + h * 2 - 1 + w * 3 - h * 4 + 5 * w; }\n}\n",
            "int area int w int h",
        ),
    ],
)
def test_a_signature_ends_where_the_body_begins(language: str, code: str, before: str) -> None:
    program = Program(task=None, split="train", language=language, source="s", license="MIT", path="a", code=code)
    (unit,) = list(extract_units([program], library=True, jobs=1))
    found = unit.normalised.split(ATOM_SEPARATOR)[: unit.signature_atoms]
    assert [atom[1:] for atom in found if atom[0] in "ict" or atom[1:] == "int"] == before.split()
    assert unit.normalised.split(ATOM_SEPARATOR)[unit.signature_atoms] == "kreturn"


def test_a_signature_that_cannot_be_told_apart_counts_as_unknown() -> None:
    code = (
        "def area(\n    width,  # of the plot\n    height,\n):\n"
        + "    return width * height + width * 2 + height - 1 + width * 3 - height * 4 + 5 * width\n"
    )
    program = Program(task=None, split="train", language="python", source="s", license="MIT", path="a", code=code)
    (unit,) = list(extract_units([program], library=True, jobs=1))
    assert unit.signature_atoms == 0


def test_a_shard_knows_signatures_in_tokens_and_words(prepared: Path) -> None:
    shard = Shard.load(prepared / "train.npz")
    library = (shard.kind == FUNCTION) & (shard.label < 0)
    assert (shard.signature_tokens[library] > 0).mean() > 0.8
    assert not shard.signature_tokens[(shard.kind == DOC) | (shard.kind == PROGRAM)].any()
    for unit in np.flatnonzero(shard.signature_tokens > 0).tolist():
        tokens = slice(shard.token_offsets[unit], shard.token_offsets[unit] + shard.signature_tokens[unit])
        words = slice(shard.word_offsets[unit], shard.word_offsets[unit] + shard.signature_words[unit])
        assert 0 in shard.token_owner[tokens]  # Its own name is a part of it.
        assert 0 in shard.word_owner[words]
        assert shard.signature_tokens[unit] < np.diff(shard.token_offsets)[unit]
