"""Matches → clone groups by complete linkage: every comparable pair within a group was scored and passed.

There is no chaining: that A matches B and B matches C does not make A and C a find. The result depends on
the functions and their probabilities alone, not on the order in which they come.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice

from polyclone.values import CloneGroup, Function, Match

Score = Callable[[Sequence[tuple[Function, Function]]], Sequence[float]]
"""Pairs → calibrated probabilities, in the same order. A pure function of the two functions' content."""
_Pair = tuple[int, int]
"""Two positions in the sorted list of functions, the lower first."""

_LOOK_AHEAD_PAIRS = 512
_LOOK_AHEAD_EDGES = 1024


def group(
    matches: Sequence[Match], score: Score, *, min_probability: float, same_language: bool = False
) -> tuple[CloneGroup, ...]:
    """Join matches of at least `min_probability` into groups, the most probable group first.

    Clusters grow from the strongest match on. Two of them are joined if every comparable pair across them
    has at least `min_probability`; `score` is asked, in batches and once a pair, for those that no match
    tells. Functions of one language are comparable only with `same_language`; without it they share a group
    only as copies of each other (equal `digest`), which counts as certain and is not scored. So a group
    holds one function in each of several languages, each with its copies.

    A match whose other end was taken by a group it does not fit in becomes a group of two, as long as one of
    its ends is in no group yet. So each function of a comparable match appears in some group, and a few in
    several. A match whose two ends are in different groups is in none; it stays visible in
    `ScanResult.matches`.

    The probability of a group is that of its weakest pair. Members are sorted by path and position. Raises
    `ValueError` if `score` gives another number of probabilities than it got pairs.
    """
    graph = _Graph(matches, score, min_probability, same_language)
    clusters = _cluster(graph)
    groups = [cluster for cluster in clusters if len(cluster) > 1]
    grouped = {member for cluster in groups for member in cluster}
    for low, high in graph.edges:
        if low not in grouped or high not in grouped:
            groups.append([low, high])
            grouped |= {low, high}
    made = [graph.to_group(members) for members in groups]
    made.sort(key=lambda found: (-found.probability, found.fingerprint, [_place(f) for f in found.members]))
    return tuple(made)


class _Graph:
    """The functions as numbers, the matches as edges, and every probability known so far."""

    def __init__(self, matches: Sequence[Match], score: Score, min_probability: float, same_language: bool) -> None:
        unique = {function for match in matches for function in (match.left, match.right)}
        self.functions = sorted(unique, key=_place)
        self.digests = [function.digest for function in self.functions]
        self._score = score
        self._least = min_probability
        self._same_language = same_language
        number = {function: position for position, function in enumerate(self.functions)}
        self._known: dict[_Pair, float] = {}
        fingerprints: dict[_Pair, str] = {}
        for match in matches:
            pair = _pair(number[match.left], number[match.right])
            # One pair may have come twice, e.g. found from both ends; the better probability counts.
            self._known[pair] = max(match.probability, self._known.get(pair, match.probability))
            fingerprints[pair] = match.fingerprint
        self.edges = sorted(
            (pair for pair in self._known if self._is_edge(pair)),
            key=lambda pair: (-self._known[pair], fingerprints[pair], pair),
        )
        """Matches to group, the strongest first."""

    def comparable(self, low: int, high: int) -> bool:
        """False for two different functions of one language, unless those are wanted too."""
        return (
            self._same_language
            or self.functions[low].language != self.functions[high].language
            or self.digests[low] == self.digests[high]
        )

    def passes(self, pair: _Pair) -> bool | None:
        """Whether two functions may share a group; None if `score` must be asked first."""
        if not self.comparable(*pair):
            return False
        probability = self._probability(pair)
        return None if probability is None else probability >= self._least

    def ask(self, pairs: Sequence[_Pair]) -> None:
        """Have the pairs scored, in one call."""
        if not pairs:
            return
        probabilities = self._score([(self.functions[low], self.functions[high]) for low, high in pairs])
        if len(probabilities) != len(pairs):
            raise ValueError(f"{len(pairs)} pairs were to be scored, {len(probabilities)} scores came back")
        self._known.update(zip(pairs, map(float, probabilities), strict=True))

    def to_group(self, members: Sequence[int]) -> CloneGroup:
        pairs = [(low, high) for low in members for high in members if low < high]
        known = [probability for pair in pairs if (probability := self._probability(pair)) is not None]
        return CloneGroup(members=tuple(self.functions[member] for member in sorted(members)), probability=min(known))

    def _is_edge(self, pair: _Pair) -> bool:
        return pair[0] != pair[1] and self.passes(pair) is True

    def _probability(self, pair: _Pair) -> float | None:
        known = self._known.get(pair)
        if known is None and self.digests[pair[0]] == self.digests[pair[1]]:
            return 1.0
        return known


def _cluster(graph: _Graph) -> list[list[int]]:
    """The clusters of each connected component. The components' questions are asked together."""
    clusters: list[list[int]] = []
    running = [_grow(graph, edges) for edges in _components(graph)]
    while running:
        wanted: list[_Pair] = []
        still: list[Generator[list[_Pair], None, list[list[int]]]] = []
        for growth in running:
            try:
                wanted += next(growth)
                still.append(growth)
            except StopIteration as done:
                clusters += done.value
        graph.ask(wanted)
        running = still
    return clusters


def _grow(graph: _Graph, edges: Sequence[_Pair]) -> Generator[list[_Pair], None, list[list[int]]]:
    """Join clusters along `edges`, the strongest first. Yields pairs to be scored before it goes on."""
    cluster = {member: [member] for edge in edges for member in edge}
    for position, (low, high) in enumerate(edges):
        verdict = _joinable(graph, cluster[low], cluster[high])
        if verdict is None:
            yield _questions(graph, cluster, edges, position)
            verdict = _joinable(graph, cluster[low], cluster[high])
        if verdict and cluster[low] is not cluster[high]:
            joined = cluster[low] + cluster[high]
            cluster.update(dict.fromkeys(joined, joined))
    return list({id(members): members for members in cluster.values()}.values())


def _joinable(graph: _Graph, left: Sequence[int], right: Sequence[int]) -> bool | None:
    """Whether every pair across two clusters passes; None if none is known to fail but some are not known."""
    if left is right:
        return True
    verdict: bool | None = True
    for pair in _across(left, right):
        passes = graph.passes(pair)
        if passes is False:
            return False
        if passes is None:
            verdict = None
    return verdict


def _questions(graph: _Graph, cluster: dict[int, list[int]], edges: Sequence[_Pair], position: int) -> list[_Pair]:
    """The unknown pairs that decide the edge at `position`, and some that the next edges will ask for.

    Looking ahead changes what is asked, never what is decided: it saves many small calls.
    """
    wanted: dict[_Pair, None] = {}
    for low, high in islice(edges, position, position + _LOOK_AHEAD_EDGES):
        if len(wanted) >= _LOOK_AHEAD_PAIRS:
            break
        if _joinable(graph, cluster[low], cluster[high]) is None:
            unknown = (pair for pair in _across(cluster[low], cluster[high]) if graph.passes(pair) is None)
            wanted.update(dict.fromkeys(unknown))
    return list(wanted)


def _components(graph: _Graph) -> list[list[_Pair]]:
    """The edges of each connected component, in the order of `graph.edges`."""
    parent: dict[int, int] = {}

    def root(member: int) -> int:
        while parent.setdefault(member, member) != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for low, high in graph.edges:
        parent[root(low)] = root(high)
    components: dict[int, list[_Pair]] = {}
    for edge in graph.edges:
        components.setdefault(root(edge[0]), []).append(edge)
    return list(components.values())


def _across(left: Iterable[int], right: Sequence[int]) -> Iterable[_Pair]:
    return (_pair(a, b) for a in left for b in right)


def _pair(a: int, b: int) -> _Pair:
    return (a, b) if a <= b else (b, a)


def _place(function: Function) -> tuple[object, ...]:
    """Sorts functions by where they are; content decides between two at one place."""
    return (
        function.path,
        function.span.start_byte,
        function.span.end_byte,
        function.qualified_name,
        function.language,
        function.kind,
        function.digest,
    )
