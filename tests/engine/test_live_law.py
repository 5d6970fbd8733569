"""The law of a live workspace: after any sequence of changes it has found what a scan of the same content finds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from polyclone.discover import DiscoverOptions
from polyclone.live import ON_DISK, Content, LiveWorkspace
from polyclone.model import load_model
from polyclone.store import MemoryStore
from polyclone.workspace import Options, Workspace
from support.bundles import tiny_bundle
from support.fake_model import FakeModel
from support.polyglot import SUFFIXES, TOTAL_ABOVE, framed

LANGUAGES = ("python", "go", "javascript", "ruby")
FOLDERS = ("one", "two")
BROKEN = {"python": "def (:\n", "go": "func {{{\n", "javascript": "function ((\n", "ruby": "def end end\n"}


@st.composite
def texts(draw: st.DrawFn, language: str) -> str:
    """Up to three functions that differ little, so that there are copies, ties and near misses; perhaps a wound."""
    pieces = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(["total", "summe", "weight"]))
        constant = draw(st.sampled_from(["10", "31"]))
        code = TOTAL_ABOVE[language].replace("total", name).replace("10", constant)
        if draw(st.booleans()):
            code = code.replace("* 2", "* 2 + limit")
        pieces.append(code)
    if draw(st.integers(0, 5)) == 0:
        pieces.append(BROKEN[language])
    return framed(language, "\n".join(pieces)) + "\n"


@st.composite
def files(draw: st.DrawFn) -> tuple[str, str, str]:
    """(path below the workspace, language, text)."""
    language = draw(st.sampled_from(LANGUAGES))
    folder = draw(st.sampled_from(FOLDERS))
    name = draw(st.sampled_from(["a", "b"]))
    return f"{folder}/{name}{SUFFIXES[language]}", language, draw(texts(language))


class Following(RuleBasedStateMachine):
    """A live workspace over a folder, and beside it what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(prefix="live"))
        for folder in FOLDERS:
            (self.base / folder).mkdir()
        self.clock = 1_000_000_000
        self.model = self.a_model()
        self.store = MemoryStore()
        self.options = Options(min_probability=0.6)
        self.roots = [self.base / "one", self.base / "two"]
        self.edited: dict[str, tuple[str, bytes]] = {}
        self.patches = [
            mock.patch.multiple("polyclone.detect", BACKGROUND_LEAST=3, BACKGROUND_Z=0.5),
            # Among so few functions chance would explain every vote.
            mock.patch("polyclone.index.consensus.DEVIATIONS", -1.0),
            mock.patch("polyclone.index.table.CONSENSUS", 3.0),
        ]
        for patch in self.patches:
            patch.start()
        self.live = self.started()

    def a_model(self) -> Any:
        return FakeModel()

    def started(self) -> LiveWorkspace:
        index = self.base / "index"
        return LiveWorkspace(self.model, options=self.options, store=self.store, index_file=index, isolate=False)

    def teardown(self) -> None:
        for patch in self.patches:
            patch.stop()
        self.live.close()
        shutil.rmtree(self.base)

    def write(self, path: str, text: str) -> str:
        """A file that changed long ago, each at a time of its own."""
        where = self.base / path
        where.write_text(text, "utf-8")
        self.clock += 10
        os.utime(where, (self.clock, self.clock))
        return str(where)

    @initialize(some=st.lists(files(), max_size=8))
    def begin(self, some: list[tuple[str, str, str]]) -> None:
        for path, _, text in some:
            self.write(path, text)
        self.live.open(self.roots)

    @rule(file=files())
    def an_editor_changes(self, file: tuple[str, str, str]) -> None:
        path, language, text = file
        where = str(self.base / path)
        self.edited[where] = (language, text.encode())
        self.told(lambda: self.live.apply({where: Content(source=text.encode(), language=language)}))

    @rule(text=texts("python"))
    def a_text_without_a_file_changes(self, text: str) -> None:
        self.edited["untitled:Untitled-1"] = ("python", text.encode())
        content = Content(source=text.encode(), language="python")
        self.told(lambda: self.live.apply({"untitled:Untitled-1": content}))

    @precondition(lambda self: self.edited)
    @rule(data=st.data())
    def an_editor_closes(self, data: st.DataObject) -> None:
        where = data.draw(st.sampled_from(sorted(self.edited)))
        del self.edited[where]
        self.told(lambda: self.live.apply({where: ON_DISK}))

    @rule(some=st.lists(files(), min_size=1, max_size=5))
    def the_disk_changes(self, some: list[tuple[str, str, str]]) -> None:
        closed = [(path, text) for path, _, text in some if str(self.base / path) not in self.edited]
        self.told(lambda: self.live.apply({self.write(path, text): ON_DISK for path, text in closed}))

    @rule(data=st.data())
    def files_are_deleted(self, data: st.DataObject) -> None:
        there = sorted({str(path) for path in self.base.glob("*/*.*")} - self.edited.keys())
        if not there:
            return
        gone = data.draw(st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=True))
        for path in gone:
            Path(path).unlink()
        how = data.draw(st.sampled_from([None, ON_DISK]))
        self.told(lambda: self.live.apply(dict.fromkeys(gone, how)))

    @rule(least=st.sampled_from([0.0, 0.6, 0.9, 0.99]))
    def the_threshold_changes(self, least: float) -> None:
        self.change(min_probability=least)

    @rule(wanted=st.booleans())
    def one_language_counts_or_not(self, wanted: bool) -> None:
        self.change(same_language=wanted)

    @rule(least=st.sampled_from([None, 1, 40, 55]))
    def other_sizes_count(self, least: int | None) -> None:
        self.change(min_atoms=least)

    @rule(
        languages=st.sampled_from([None, frozenset({"python", "go"})]),
        exclude=st.sampled_from([(), ("a.*",), ("/one/",)]),
    )
    def other_files_count(self, languages: frozenset[str] | None, exclude: tuple[str, ...]) -> None:
        base = str(self.base)
        self.change(discover=DiscoverOptions(languages=languages, exclude=exclude, exclude_base=base))

    def change(self, **changes: Any) -> None:
        values = {name: getattr(self.options, name) for name in Options.__dataclass_fields__}
        self.options = Options(**{**values, **changes})
        self.told(lambda: self.live.set_options(self.options))

    @rule(which=st.sampled_from([["one"], ["two"], ["one", "two"], ["two", "missing"]]))
    def other_roots_are_opened(self, which: list[str]) -> None:
        self.roots = [self.base / name for name in which]
        self.told(self.set_roots)

    def set_roots(self) -> frozenset[str]:
        published: set[str] = set()
        self.live.set_roots(self.roots, publish=lambda _, paths: published.update(paths))
        return frozenset(published)

    def told(self, change: Callable[[], frozenset[str]]) -> None:
        """Whoever makes a change is told of every path whose findings it changes."""
        before = self.live.snapshot
        paths = change()
        after = self.live.snapshot
        for path in {*before.paths, *after.paths} - paths:
            assert before.matches_in(path) == after.matches_in(path)

    @rule(some=st.lists(files(), max_size=3), saved=st.booleans())
    def the_process_starts_again(self, some: list[tuple[str, str, str]], saved: bool) -> None:
        """What changed while it was down is noticed; an old index file does no harm."""
        if saved:
            self.live.save()
        self.live.close()
        for path, _, text in some:
            self.write(path, text)
        self.live = self.started()
        self.live.apply({w: Content(source=s, language=l) for w, (l, s) in self.edited.items()})  # noqa: E741
        self.live.open(self.roots)

    def reference(self) -> Workspace:
        values = {name: getattr(self.options, name) for name in Options.__dataclass_fields__}
        space = Workspace(self.model, options=Options(**{**values, "absolute_paths": True}), store=self.store)
        space.open([root for root in self.roots if root.exists()])
        for where, (language, source) in self.edited.items():
            space.update(where, source, language)
        return space

    @invariant()
    def it_has_found_what_a_scan_finds(self) -> None:
        snapshot, space = self.live.snapshot, self.reference()
        expected = space.result()
        found = snapshot.result
        assert snapshot.complete
        assert found.matches == expected.matches
        assert found.groups == expected.groups
        gone = {str(root) for root in self.roots if not root.exists()}
        assert tuple(f for f in found.failures if f.path not in gone) == expected.failures
        counts = ("files", "functions", "too_small", "truncated", "unverified")
        for name in ("model", *counts, "threshold", "skipped", "root"):
            assert getattr(found, name) == getattr(expected, name), name
        assert snapshot.paths == space.paths
        self.each_question_has_the_answer_of_the_whole(expected.matches)

    def each_question_has_the_answer_of_the_whole(self, matches: Any) -> None:
        snapshot = self.live.snapshot
        seen = set()
        for path in snapshot.paths:
            in_file = snapshot.matches_in(path)
            for function in snapshot.functions_in(path):
                answers = snapshot.matches_of(function)
                assert answers == in_file.get(function, ())
                assert list(answers) == sorted(answers, key=lambda m: (-m.probability, -m.similarity))
                assert all(match.left == function for match in answers)
                seen |= {frozenset((m.left, m.right)) for m in answers}
        assert seen == {frozenset((m.left, m.right)) for m in matches}


class FollowingWithABundle(Following):
    """The same with everything a real model brings along: a tokenizer, reference functions, a pair head."""

    def a_model(self) -> Any:
        return load_model(tiny_bundle(self.base / "model"))


LAW = settings(
    max_examples=15,
    stateful_step_count=14,
    phases=[Phase.explicit, Phase.generate],
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFollowing = Following.TestCase
TestFollowing.settings = LAW
TestFollowingWithABundle = FollowingWithABundle.TestCase
TestFollowingWithABundle.settings = LAW
