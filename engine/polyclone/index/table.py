"""Who is nearest to whom, across languages: kept exact while vectors come and go, at n·d a change.

For each vector and each other language the table holds the nearest vectors of that language and two integer
sums: of its similarities to all vectors of that language, and of their squares. Integers, so that what is
added can be taken away again without a trace. A table that grew and shrank equals one that was just made.

Some vectors are near to everybody (hubs), and a counterpart often comes second to one. So the nearest are told
apart by cross-domain similarity local scaling (CSLS; Conneau et al. 2018, eq. 3): twice their likeness less how
crowded either of them is, that is, less its mean likeness to its nearest ones of the other's language. Likeness is
the cosine and half of how far their words agree (`agreement`). What the other vectors of their files are nearest to
counts besides (`consensus`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from polyclone.index.agreement import Bags, Words, bags_of, flatten
from polyclone.index.codes import Codes
from polyclone.index.columns import NEAREST, NOBODY, Column, Handles, add
from polyclone.index.consensus import CONSENSUS, Ballot, consensus, numbered
from polyclone.index.exact import dots, parts

_BLOCK_ROWS = 256
_BLOCK_COLUMNS = 2048
_WORDLESS: Words = np.zeros(0, np.uint32)

_ALONE = np.uint64(2**64 - 1)
"""Counted down from here are the files of vectors of which none was told."""

T = TypeVar("T", bound=np.generic)


@dataclass(slots=True, eq=False)
class Shelf:
    """The vectors of one language, without gaps: the first `count` rows of arrays that are longer."""

    count: int
    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    handles: NDArray[np.int64]
    columns: dict[str, Column]
    """Other language → what is known of it."""

    @property
    def codes(self) -> Codes:
        return Codes(self.values[: self.count], self.scales[: self.count])


@dataclass(slots=True, eq=False)
class _Near:
    """The nearest of each of n rows in another language."""

    rows: NDArray[np.int64]
    """(n, k) rows there, -1 for nobody; the most similar first, ties by key."""
    scores: NDArray[np.float64]
    """(n, k), how near they are; -inf where there is nobody."""

    def chosen(self) -> NDArray[np.int64]:
        """(n,): the best of each, the first of equals; -1 for nobody."""
        return np.take_along_axis(self.rows, self.scores.argmax(axis=1)[:, None], 1)[:, 0]


class NeighbourTable:
    """Vectors of several languages and their nearest ones. Not thread-safe.

    `within`: a vector's own language counts as another one, the vector itself left out. A vector goes by a
    handle, which is never used again; its key breaks ties, the lowest first, and ought to be its own.
    """

    def __init__(self, dimension: int, weights: NDArray[np.int64] | None = None, *, within: bool = False) -> None:
        """`weights`: of words, as `Bags` has them."""
        self.dimension = dimension
        self._bags = Bags(weights)
        self._within = within
        self._shelves: dict[str, Shelf] = {}
        self._next = 0
        # By handle: in which row of its shelf it stands, its key, and the number of its file.
        self._row = np.zeros(64, np.int64)
        self._key = np.zeros(64, np.uint64)
        self._file = np.zeros(64, np.uint64)
        self._language: dict[int, str] = {}
        # Mutual pairs of two languages, as long as neither changes.
        self._found: dict[tuple[str, str, float, int], tuple[Handles, Handles]] = {}

    def __len__(self) -> int:
        return len(self._language)

    @property
    def within(self) -> bool:
        return self._within

    @property
    def languages(self) -> tuple[str, ...]:
        """Those that have vectors, sorted."""
        return tuple(sorted(name for name, shelf in self._shelves.items() if shelf.count))

    def codes(self, language: str) -> tuple[Codes, Handles]:
        """Views of all vectors of a language, in no particular order. Good until the next change."""
        shelf = self._shelves[language]
        return shelf.codes, shelf.handles[: shelf.count]

    def keys(self, handles: Handles) -> NDArray[np.uint64]:
        return self._key[handles]

    def words(self, handles: Handles) -> list[Words]:
        """The words of vectors, as they were given."""
        return self._bags.words(handles.tolist())

    # --- changes ---

    def insert(
        self,
        codes: Codes,
        languages: Sequence[str],
        keys: NDArray[np.uint64],
        words: Sequence[Words] | None = None,
        files: NDArray[np.uint64] | None = None,
    ) -> Handles:
        """Take in n vectors, `codes[i]` of `languages[i]` with `words[i]` in the file numbered `files[i]`.

        Returns their handles, int64 (n,). Without `files` each is alone in its file.
        """
        if codes.dimension != self.dimension:
            raise ValueError(f"vectors have {codes.dimension} dimensions, the table has {self.dimension}")
        handles = np.arange(self._next, self._next + len(codes), dtype=np.int64)
        self._next += len(codes)
        self._make_room()
        self._key[handles] = keys
        self._file[handles] = _ALONE - handles.astype(np.uint64) if files is None else files
        self._language.update(zip(handles.tolist(), languages, strict=True))
        self._bags.put(handles.tolist(), [_WORDLESS] * len(codes) if words is None else words)
        positions: defaultdict[str, list[int]] = defaultdict(list)
        for position, language in enumerate(languages):
            positions[language].append(position)
        self._forget(positions)
        for language in sorted(positions):
            rows = positions[language]
            for start in range(0, len(rows), _BLOCK_ROWS):
                block = rows[start : start + _BLOCK_ROWS]
                self._append(language, codes.take(block), handles[block])
        return handles

    def remove(self, handles: Sequence[int]) -> None:
        """Forget vectors. Rows that lost too many of their nearest search again, all in one go."""
        by_language: defaultdict[str, list[int]] = defaultdict(list)
        for handle in handles:
            by_language[self._language.pop(handle)].append(handle)
        self._bags.drop(handles)
        self._forget(by_language)
        for language, gone in by_language.items():
            for start in range(0, len(gone), _BLOCK_ROWS):
                self._subtract(language, gone[start : start + _BLOCK_ROWS])
        for language, gone in by_language.items():
            self._drop(language, gone)
        for language, gone in by_language.items():
            self._search_again(language, np.array(gone, np.int64))

    def move(self, handles: Handles, files: NDArray[np.uint64]) -> None:
        """Vectors (their handles) stand in other files now."""
        self._file[handles] = files
        self._forget({self._language[handle] for handle in handles.tolist()})

    def set_within(self, within: bool) -> None:
        """Begin or cease to compare within a language. To begin costs a search of each language in itself."""
        if within == self._within:
            return
        self._within = within
        self._found.clear()
        for name, shelf in self._shelves.items():
            shelf.columns.pop(name, None)
            if within:
                shelf.columns[name] = Column.empty(len(shelf.handles))
                for start in range(0, shelf.count, _BLOCK_ROWS):
                    self._compare_within(name, start, min(start + _BLOCK_ROWS, shelf.count))

    def _forget(self, languages: Iterable[str]) -> None:
        changed = set(languages)
        self._found = {key: pairs for key, pairs in self._found.items() if changed.isdisjoint(key[:2])}

    def _make_room(self) -> None:
        """For what is known by handle."""
        self._row, self._key = _grown(self._row, self._next), _grown(self._key, self._next)
        self._file = _grown(self._file, self._next)

    def _append(self, language: str, codes: Codes, handles: Handles) -> None:
        shelf = self._shelf(language)
        start, stop = shelf.count, shelf.count + len(codes)
        self._reserve(shelf, stop)
        shelf.values[start:stop], shelf.scales[start:stop] = codes.values, codes.scales
        shelf.handles[start:stop] = handles
        for column in shelf.columns.values():
            column.reset(slice(start, stop))
            column.total[start:stop] = column.squares[start:stop] = 0
        self._row[handles] = np.arange(start, stop)
        shelf.count = stop
        for other in self._shelves:
            if other != language:
                self._compare(language, start, stop, other)
        if self._within:
            self._compare_within(language, start, stop)

    def _compare(self, language: str, start: int, stop: int, other: str) -> None:
        """Make rows of one language and all rows of another one known to each other."""
        here, there = self._shelves[language], self._shelves[other]
        mine, theirs = here.columns[other], there.columns[language]
        rows = slice(start, stop)
        for columns, scores in self._scores(here.codes.take(rows), there, there.count):
            add(mine, rows, theirs, columns, scores, 1)
            mine.offer(rows, scores, there.handles[columns], self._key)
            theirs.offer(columns, scores.T, here.handles[rows], self._key)

    def _compare_within(self, language: str, start: int, stop: int) -> None:
        """The same for rows and those before them in their own shelf, and for the rows among themselves."""
        shelf = self._shelves[language]
        column = shelf.columns[language]
        rows = slice(start, stop)
        queries = shelf.codes.take(rows)
        for columns, scores in self._scores(queries, shelf, start):
            add(column, rows, column, columns, scores, 1)
            column.offer(rows, scores, shelf.handles[columns], self._key)
            column.offer(columns, scores.T, shelf.handles[rows], self._key)
        scores = _similarities(queries, queries)
        add(column, rows, None, rows, scores, 1)
        np.fill_diagonal(scores, -np.inf)
        column.offer(rows, scores, shelf.handles[rows], self._key)

    def _subtract(self, language: str, gone: list[int]) -> None:
        """Take what some rows of a language added to the sums of all others away again."""
        shelf = self._shelves[language]
        rows = self._row[gone]
        queries = shelf.codes.take(rows)
        for other, there in self._shelves.items():
            if other != language or self._within:
                for columns, scores in self._scores(queries, there, there.count):
                    add(None, slice(0), there.columns[language], columns, scores, -1)

    def _drop(self, language: str, gone: list[int]) -> None:
        """Close the gaps of removed rows: those that stay keep their order."""
        shelf = self._shelves[language]
        kept = np.ones(shelf.count, bool)
        kept[self._row[gone]] = False
        first = int(np.argmin(kept))  # What stands before the first gap stays where it is.
        rows = first + np.flatnonzero(kept[first:])
        stop = first + len(rows)
        arrays: list[NDArray[Any]] = [shelf.values, shelf.scales, shelf.handles]
        for array in arrays + [array for column in shelf.columns.values() for array in column.arrays]:
            array[first:stop] = array[rows]
        shelf.count = stop
        self._row[shelf.handles[first:stop]] = np.arange(first, stop)

    def _search_again(self, language: str, gone: Handles) -> None:
        """Find the nearest of `language` anew for those rows that know of too few now that some are gone."""
        there = self._shelves[language]
        asking: list[tuple[Shelf, NDArray[np.intp]]] = []
        for name, shelf in self._shelves.items():
            if shelf.count and (name != language or self._within):
                orphans = shelf.columns[language].without(shelf.count, gone)
                shelf.columns[language].reset(orphans)
                asking += [(shelf, orphans[i : i + _BLOCK_ROWS]) for i in range(0, len(orphans), _BLOCK_ROWS)]
        if not asking:
            return
        # One pass over the language for all that ask.
        for columns, block in self._blocks(there, there.count):
            floats, handles = parts(block), there.handles[columns]
            for shelf, rows in asking:
                queries = shelf.codes.take(rows)
                scores = _scaled(dots(parts(queries), floats), queries, block)
                if shelf is there:
                    scores[shelf.handles[rows][:, None] == handles[None, :]] = -np.inf
                shelf.columns[language].offer(rows, scores, handles, self._key)

    def _scores(self, queries: Codes, shelf: Shelf, stop: int) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """(columns, similarities (queries, columns)) of the first `stop` rows of a shelf, block by block."""
        for columns, block in self._blocks(shelf, stop):
            yield columns, _similarities(queries, block)

    def _blocks(self, shelf: Shelf, stop: int) -> Iterator[tuple[slice, Codes]]:
        for start in range(0, stop, _BLOCK_COLUMNS):
            columns = slice(start, min(start + _BLOCK_COLUMNS, stop))
            yield columns, Codes.view(shelf.values[columns], shelf.scales[columns])

    def _shelf(self, language: str) -> Shelf:
        shelf = self._shelves.get(language)
        if shelf is None:
            empty = (np.zeros((0, self.dimension), np.int8), np.zeros(0, np.float32), np.zeros(0, np.int64))
            shelf = Shelf(0, *empty, {})
            for name, other in self._shelves.items():
                shelf.columns[name] = Column.empty(0)
                other.columns[language] = Column.empty(len(other.handles))
            if self._within:
                shelf.columns[language] = Column.empty(0)
            self._shelves[language] = shelf
        return shelf

    def _reserve(self, shelf: Shelf, count: int) -> None:
        if count <= len(shelf.handles):
            return
        length = max(count, len(shelf.handles) * 5 // 4, 16)
        shelf.values = _grown(shelf.values, length)
        shelf.scales = _grown(shelf.scales, length)
        shelf.handles = _grown(shelf.handles, length)
        shelf.columns = {name: column.resized(length) for name, column in shelf.columns.items()}

    # --- questions ---

    def pairs(self, *, deviations: float, least: int) -> tuple[Handles, Handles]:
        """All pairs (a, b), int64 (p,) each, that are each other's nearest and stand out from the background.

        Nearest by CSLS of their likeness and by the consensus of their files, of the `NEAREST` that are most similar;
        of equals the more similar one, then the lower key. The files vote by CSLS alone.
        To stand out: where a language has `least` vectors or more, to be at least `deviations` standard deviations
        above the mean of the other side's similarities to all of it.
        """
        left: list[Handles] = []
        right: list[Handles] = []
        names = self.languages
        for position, one in enumerate(names):
            for other in names[position if self._within else position + 1 :]:
                key = (one, other, deviations, least)
                if key not in self._found:
                    self._found[key] = self._mutual(one, other, deviations, least)
                a, b = self._found[key]
                left.append(a)
                right.append(b)
        nothing = [np.zeros(0, np.int64)]
        return np.concatenate(left or nothing), np.concatenate(right or nothing)

    def _mutual(self, one: str, other: str, deviations: float, least: int) -> tuple[Handles, Handles]:
        here, there = self._shelves[one], self._shelves[other]
        forward, backward = here.columns[other], there.columns[one]
        forward.compare_words(here.handles[: here.count], self._bags.agree)
        backward.compare_words(there.handles[: there.count], self._bags.agree)
        found = self._compared(here, forward, backward.crowding(there.count))
        found_back = self._compared(there, backward, forward.crowding(here.count))
        self._hear_files(here, there, found, found_back)
        nearest, similarity = found.chosen(), forward.similarity[: here.count]
        back = found_back.chosen()
        rows = np.flatnonzero(nearest != NOBODY)
        kept = back[nearest[rows]] == rows
        if one == other:
            kept &= rows < nearest[rows]
        rows = rows[kept]
        similarity = similarity[rows, found.scores[rows].argmax(axis=1)]
        nearest = nearest[rows]
        outstanding = np.ones(len(rows), bool)
        for column, asking, size in ((forward, rows, there.count), (backward, nearest, here.count)):
            if size >= least:
                outstanding &= similarity >= column.limit(asking, size, deviations)
        return here.handles[rows[outstanding]], there.handles[nearest[outstanding]]

    def _compared(self, shelf: Shelf, column: Column, crowding: NDArray[np.float64]) -> _Near:
        """The nearest of each row of a shelf, by CSLS. `crowding` is that of the other language's rows.

        The row's own is the same for all and left out.
        """
        names, likeness = column.best[: shelf.count, :NEAREST], column.likeness[: shelf.count, :NEAREST]
        rows = np.where(names == NOBODY, NOBODY, self._row[names])
        # What is lacking is like nobody, and never chosen where there is anybody.
        return _Near(rows, 2.0 * likeness.astype(np.float64) - crowding[rows])

    def _hear_files(self, here: Shelf, there: Shelf, found: _Near, found_back: _Near) -> None:
        """Add what the consensus of their files counts to the scores of both directions."""
        files = numbered(self._file[here.handles[: here.count]])
        other_files = numbered(self._file[there.handles[: there.count]])
        ballot = Ballot(files, other_files, found.chosen())
        ballot_back = Ballot(other_files, files, found_back.chosen())
        for mine, theirs, near in ((ballot, ballot_back, found), (ballot_back, ballot, found_back)):
            rows = np.arange(len(near.rows))[:, None]
            counted = CONSENSUS * consensus(mine, theirs, rows, near.rows)
            if here is there:
                # In one language a file is its own counterpart, which says nothing.
                counted[files[rows] == files[near.rows]] = 0.0
            near.scores += counted

    # --- to and from arrays ---

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything, as arrays by name; `from_arrays` makes an equal table of them."""
        names = sorted(self._shelves)
        arrays: dict[str, NDArray[Any]] = {
            "languages": np.array(names, np.str_),
            "within": np.array(self._within),
            "dimension": np.array(self.dimension),
        }
        for i, name in enumerate(names):
            shelf = self._shelves[name]
            n = shelf.count
            arrays |= {f"{i}.values": shelf.values[:n], f"{i}.handles": shelf.handles[:n]}
            arrays[f"{i}.scales"] = shelf.scales[:n]
            arrays[f"{i}.keys"] = self._key[shelf.handles[:n]]
            arrays[f"{i}.files"] = self._file[shelf.handles[:n]]
            arrays[f"{i}.words"], arrays[f"{i}.lengths"] = flatten(self.words(shelf.handles[:n]))
            for j, other in enumerate(names):
                if other in shelf.columns:
                    for part, array in enumerate(shelf.columns[other].arrays):
                        arrays[f"{i}.{j}.{part}"] = array[:n]
        return arrays

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, NDArray[Any]], weights: NDArray[np.int64] | None = None
    ) -> NeighbourTable:
        """Raises `KeyError` or `ValueError` for arrays that `to_arrays` did not make."""
        names = [str(name) for name in arrays["languages"].tolist()]
        made = cls(int(arrays["dimension"]), weights, within=bool(arrays["within"]))
        every = [np.asarray(arrays[f"{i}.handles"], np.int64) for i in range(len(names))]
        made._next = 1 + max((int(handles.max()) for handles in every if len(handles)), default=-1)
        made._make_room()
        for i, name in enumerate(names):
            handles, n = every[i], len(every[i])
            values, scales = np.asarray(arrays[f"{i}.values"], np.int8), np.asarray(arrays[f"{i}.scales"], np.float32)
            codes = Codes(values.reshape(n, made.dimension), scales)
            columns = {}
            for j, other in enumerate(names):
                if other != name or made._within:
                    kinds = (np.int32, np.float32, np.float32, np.bool_, np.bool_, np.int64, np.int64)
                    loaded: list[NDArray[Any]] = [
                        np.array(arrays[f"{i}.{j}.{part}"], kind) for part, kind in enumerate(kinds)
                    ]
                    shapes = [array.shape for array in Column.empty(n).arrays]
                    if any(array.shape != shape for array, shape in zip(loaded, shapes, strict=True)):
                        raise ValueError("a column does not fit its language")
                    columns[other] = Column(*loaded)
            made._shelves[name] = Shelf(n, np.array(codes.values), np.array(codes.scales), handles.copy(), columns)
            made._row[handles] = np.arange(n)
            made._key[handles] = np.asarray(arrays[f"{i}.keys"], np.uint64)
            made._file[handles] = np.asarray(arrays[f"{i}.files"], np.uint64)
            made._language.update(dict.fromkeys(handles.tolist(), name))
            lengths = np.asarray(arrays[f"{i}.lengths"], np.int32)
            made._bags.put(handles.tolist(), bags_of(np.asarray(arrays[f"{i}.words"], np.uint32), lengths))
        return made


def _similarities(a: Codes, b: Codes) -> NDArray[np.float32]:
    """float32 (len(a), len(b)): `index.similarity` of all pairs."""
    return _scaled(dots(parts(a), parts(b)), a, b)


def _scaled(scores: NDArray[np.float32], a: Codes, b: Codes) -> NDArray[np.float32]:
    scores *= np.multiply.outer(a.scales, b.scales)
    return scores


def _grown(array: NDArray[T], length: int) -> NDArray[T]:
    if length <= len(array):
        return array
    made = np.zeros((max(length, len(array) * 5 // 4), *array.shape[1:]), array.dtype)
    made[: len(array)] = array
    return made
