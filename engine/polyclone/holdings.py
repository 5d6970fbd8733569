"""Functions held and findings among them, brought up to date change by change. In memory; reads and encodes nothing.

After every update the findings are those of a scan of what is held. An update costs one pass over the codes for
each content that comes or goes, and beyond that as much as it changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from polyclone.detect import Judge, Side, codes_from, mutual, place
from polyclone.findings import Edge, Query, Unit, edge_of, file_of, key_of, nearest, side_of
from polyclone.index import Codes, NeighbourTable
from polyclone.model import Model
from polyclone.snapshot import Counts, HeldFile, Snapshot
from polyclone.values import ATOM_SEPARATOR, Failure, Function, Match

_Pairs = NDArray[np.int64]
_HANDLE_BITS = 32
_REMEMBERED = 5_000
"""Verdicts kept beyond those that are needed: what was typed and deleted may come back."""


class Holdings:
    """Not thread-safe; the snapshots it makes are."""

    def __init__(self, model: Model, *, threshold: float, same_language: bool, min_atoms: int) -> None:
        self._model = model
        self.threshold = threshold
        self.min_atoms = min_atoms
        self.judge = Judge(model.verifier)
        self.table = NeighbourTable(model.encoder.dimension, model.vocabulary.weights, within=same_language)
        self.files: dict[str, HeldFile] = {}
        self.units: dict[str, Unit] = {}
        self.handles: dict[str, int] = {}
        self._copies: dict[str, tuple[Function, ...]] = {}
        self._edges: dict[str, tuple[Edge, ...]] = {}
        self._digests: dict[int, str] = {}
        self._pairs: _Pairs = np.zeros(0, np.int64)
        """Candidates held, each as its lower handle · 2³² + the higher one; sorted."""
        self._unverified: set[tuple[str, str]] = set()
        """Candidates by digest that a language model was to verify and had no time for."""
        self._functions = self._too_small = self._truncated = 0

    @property
    def same_language(self) -> bool:
        return self.table.within

    def judgeable(self, function: Function) -> bool:
        """Whether a function is large enough to judge."""
        text = function.normalised
        return (text.count(ATOM_SEPARATOR) + 1 if text else 0) >= self.min_atoms

    # --- changes ---

    def missing(self, files: Iterable[HeldFile]) -> dict[str, Function]:
        """Contents that `update` needs the units of, by digest, in order of appearance."""
        return {
            digest: function
            for file in files
            for function, digest in zip(file.functions, file.digests, strict=True)
            if digest not in self.units and self.judgeable(function)
        }

    def update(self, changes: Mapping[str, HeldFile | None], encoded: Iterable[Unit] = ()) -> frozenset[str]:
        """Hold these files in place of what was held under their paths; None is held no more.

        `encoded` has the units that `missing` asked for. Returns the paths whose findings changed.
        """
        before = self._move(changes, self.min_atoms)
        return self._settle(before, {unit.digest: unit for unit in encoded})

    def set_threshold(self, threshold: float) -> frozenset[str]:
        """Report from another probability on. Searches and encodes nothing."""
        self.threshold = threshold
        old = self._edges
        self._edges = {}
        self._judge(self._pairs)
        return self._paths_of(d for d in old.keys() | self._edges.keys() if old.get(d) != self._edges.get(d))

    def set_same_language(self, wanted: bool) -> frozenset[str]:
        """Compare functions of one language, too, or no longer. To begin costs a search."""
        several = self._paths_of(digest for digest, same in self._copies.items() if len(same) > 1)
        changed = several if wanted != self.table.within else frozenset()
        self.table.set_within(wanted)
        return changed | self._settle({}, {})

    def newly_judgeable(self, min_atoms: int) -> dict[str, Function]:
        """As `missing`, for all that is held and another least size."""
        old, self.min_atoms = self.min_atoms, min_atoms
        try:
            return self.missing(self.files.values())
        finally:
            self.min_atoms = old

    def set_min_atoms(self, min_atoms: int, encoded: Iterable[Unit]) -> frozenset[str]:
        """Judge functions from another size on. `encoded` has the units that `newly_judgeable` asked for."""
        files = dict(self.files)
        before = self._move(dict.fromkeys(files), min_atoms)
        for digest, copies in self._move(files, min_atoms).items():
            before.setdefault(digest, copies)
        changed = {d: copies for d, copies in before.items() if copies != self._copies.get(d, ())}
        return self._settle(changed, {unit.digest: unit for unit in encoded})

    def _move(self, changes: Mapping[str, HeldFile | None], min_atoms: int) -> dict[str, tuple[Function, ...]]:
        """Exchange files. Returns, for each content whose copies changed, the copies it had before."""
        touched: dict[str, list[Function]] = {}
        for path in changes:
            old = self.files.pop(path, None)
            if old is not None:
                for digest, _ in self._count(old, -1):
                    touched.setdefault(digest, [])
        self.min_atoms = min_atoms
        for path, new in changes.items():
            if new is not None:
                self.files[path] = new
                for digest, function in self._count(new, 1):
                    touched.setdefault(digest, []).append(function)
        before: dict[str, tuple[Function, ...]] = {}
        for digest, arrived in touched.items():
            old_copies = self._copies.get(digest, ())
            stayed = [copy for copy in old_copies if copy.path not in changes]
            copies = tuple(sorted([*stayed, *arrived], key=place))
            if copies == old_copies:
                continue
            before[digest] = old_copies
            if copies:
                self._copies[digest] = copies
            else:
                del self._copies[digest]
            if digest in self.units and self.units[digest].is_cut:
                self._truncated += len(copies) - len(old_copies)
        return before

    def _count(self, file: HeldFile, sign: int) -> list[tuple[str, Function]]:
        """Count a file's functions in or out. Returns those large enough to judge."""
        large = [(d, f) for d, f in zip(file.digests, file.functions, strict=True) if self.judgeable(f)]
        self._functions += sign * len(file.functions)
        self._too_small += sign * (len(file.functions) - len(large))
        return large

    def _settle(self, before: Mapping[str, tuple[Function, ...]], encoded: Mapping[str, Unit]) -> frozenset[str]:
        """Bring table, candidates and edges up to what is held now. `before`: as `_move` gives it."""
        affected = self._with_partners(before)
        born = [encoded[digest] for digest in before if digest in self._copies and digest not in self.units]
        dead = [digest for digest in before if digest not in self._copies and digest in self.units]
        # What comes first may take the place of what goes, so that nobody has to search for another nearest.
        self._insert(born)
        self._move_units(before)
        self.table.remove([self.handles[digest] for digest in dead])
        old, self._pairs = self._pairs, _packed(*mutual(self.table))
        renamed = [d for d, same in before.items() if same and self._copies.get(d, same)[0].name != same[0].name]
        again = self._pairs_of(renamed)
        affected |= self._forget(np.concatenate([_without(old, self._pairs), _within(again, old)]))
        for digest in dead:
            self._digests.pop(self.handles.pop(digest))
            del self.units[digest]
        affected |= self._judge(np.concatenate([_without(_without(self._pairs, old), again), again]))
        affected |= self._with_partners(before)
        if self.same_language:
            affected |= {d for d, same in before.items() if max(len(same), len(self._copies.get(d, ()))) > 1}
        left = {copy.path for digest in affected & before.keys() for copy in before[digest]}
        return self._paths_of(affected) | left

    def _with_partners(self, digests: Iterable[str]) -> set[str]:
        """Those of some units that are reported now, and the units they are reported with."""
        reported = [digest for digest in digests if digest in self._edges]
        return {*reported, *(edge.other for digest in reported for edge in self._edges[digest])}

    def _insert(self, born: Sequence[Unit]) -> None:
        if not born:
            return
        keys = np.array([key_of(unit.digest) for unit in born], np.uint64)
        codes = codes_from(unit.values for unit in born)
        words = [unit.words for unit in born]
        files = np.array([file_of(self._copies[unit.digest]) for unit in born], np.uint64)
        handles = self.table.insert(codes, [unit.language for unit in born], keys, words, files)
        for unit, handle in zip(born, handles.tolist(), strict=True):
            self.units[unit.digest] = unit
            self.handles[unit.digest] = handle
            self._digests[handle] = unit.digest
            if unit.is_cut:
                self._truncated += len(self._copies[unit.digest])

    def _move_units(self, before: Mapping[str, tuple[Function, ...]]) -> None:
        """Tell the table which units stand in another file now."""
        moved = [d for d, same in before.items() if same and self._copies.get(d, same)[0].path != same[0].path]
        if moved:
            handles = np.array([self.handles[digest] for digest in moved], np.int64)
            self.table.move(handles, np.array([file_of(self._copies[digest]) for digest in moved], np.uint64))

    def _pairs_of(self, digests: Sequence[str]) -> _Pairs:
        """Those pairs that have one of the units on a side."""
        if not digests:
            return np.zeros(0, np.int64)
        wanted = np.array([self.handles[digest] for digest in digests], np.int64)
        left, right = _unpacked(self._pairs)
        return self._pairs[np.isin(left, wanted) | np.isin(right, wanted)]

    def _forget(self, pairs: _Pairs) -> set[str]:
        """Take back what was reported of these pairs. Returns the units that lost something."""
        lost: set[str] = set()
        for one, other in self._named(pairs):
            self._unverified.discard((one, other))
            for digest, partner in ((one, other), (other, one)):
                edges = self._edges.get(digest, ())
                left = tuple(edge for edge in edges if edge.other != partner)
                if len(left) != len(edges):
                    lost.add(digest)
                    self._edges[digest] = left
                    if not left:
                        del self._edges[digest]
        return lost

    def _judge(self, pairs: _Pairs) -> set[str]:
        """Judge pairs and keep what is to be reported. Returns the units that gained something."""
        named = self._named(pairs)
        gained: dict[str, list[Edge]] = {}
        for (one, other), verdict in zip(named, self.judge(self._sides(pairs), self.threshold), strict=True):
            if verdict.verified:
                self._unverified.discard((one, other))
            else:
                self._unverified.add((one, other))
            if (edge := edge_of(verdict, other, self.threshold)) is not None:
                gained.setdefault(one, []).append(edge)
                gained.setdefault(other, []).append(edge._replace(other=one))
        for digest, edges in gained.items():
            self._edges[digest] = tuple(sorted([*self._edges.get(digest, ()), *edges]))
        if len(self.judge.known) > 2 * len(self._pairs) + _REMEMBERED:
            self.judge.keep(self._sides(self._pairs))
        return set(gained)

    def _sides(self, pairs: _Pairs) -> list[tuple[Side, Side]]:
        units, copies = self.units, self._copies
        return [(side_of(units[a], copies), side_of(units[b], copies)) for a, b in self._named(pairs)]

    def _named(self, pairs: _Pairs) -> list[tuple[str, str]]:
        left, right = _unpacked(pairs)
        names = self._digests
        return [(names[a], names[b]) for a, b in zip(left.tolist(), right.tolist(), strict=True)]

    def _paths_of(self, digests: Iterable[str]) -> frozenset[str]:
        return frozenset(copy.path for digest in digests for copy in self._copies.get(digest, ()))

    def restore(self, files: Mapping[str, HeldFile], units: Mapping[int, Unit], table: NeighbourTable) -> None:
        """Take over what another one held: units by handle. `ValueError` if the parts do not fit together."""
        self.table = table
        self.units = {unit.digest: unit for unit in units.values()}
        self.handles = {unit.digest: handle for handle, unit in units.items()}
        self._digests = {handle: unit.digest for handle, unit in units.items()}
        self._move(files, self.min_atoms)
        if self._copies.keys() != self.units.keys() or len(table) != len(units):
            raise ValueError("functions and vectors do not belong together")
        self._pairs = _packed(*mutual(table))
        self._judge(self._pairs)

    # --- questions ---

    def snapshot(
        self,
        version: int,
        *,
        complete: bool,
        skipped: Mapping[str, int],
        walk_failures: tuple[Failure, ...],
    ) -> Snapshot:
        """What is held and found now."""
        return Snapshot(
            version=version,
            complete=complete,
            model=self._model,
            threshold=self.threshold,
            same_language=self.same_language,
            files=self.files.copy(),
            copies=self._copies.copy(),
            units=self.units.copy(),
            edges=self._edges.copy(),
            counts=Counts(
                functions=self._functions,
                too_small=self._too_small,
                truncated=self._truncated,
                pairs=sum(map(len, self._edges.values())) // 2,
                unverified=len(self._unverified),
            ),
            skipped=skipped,
            walk_failures=walk_failures,
        )

    def query(self, target: Function, codes: Codes, limit: int) -> tuple[Match, ...]:
        """As `Workspace.query`, with the target's code (1, d)."""
        asking = Query(target=target, codes=codes, limit=limit, same_language=self.same_language)
        shelves: list[tuple[Codes, list[str]]] = []
        for language in self.table.languages:
            if language != target.language or self.same_language:
                held, handles = self.table.codes(language)
                order = np.argsort(self.table.keys(handles))
                shelves.append((held.take(order), [self._digests[handle] for handle in handles[order].tolist()]))
        return nearest(asking, shelves, self._copies, self._model.verifier)


def _packed(left: _Pairs, right: _Pairs) -> _Pairs:
    return (left << _HANDLE_BITS) | right


def _unpacked(pairs: _Pairs) -> tuple[_Pairs, _Pairs]:
    return pairs >> _HANDLE_BITS, pairs & ((1 << _HANDLE_BITS) - 1)


def _is_in(some: _Pairs, others: _Pairs) -> NDArray[np.bool_]:
    """Which of some pairs are among others; both sorted."""
    if not len(others):
        return np.zeros(len(some), bool)
    nearest = np.minimum(np.searchsorted(others, some), len(others) - 1)
    return np.asarray(others[nearest] == some)


def _within(some: _Pairs, others: _Pairs) -> _Pairs:
    return some[_is_in(some, others)]


def _without(some: _Pairs, others: _Pairs) -> _Pairs:
    return some[~_is_in(some, others)]
