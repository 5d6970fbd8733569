"""Which programs are clones of each other: task clusters across sources, near-duplicates, ports in libraries.

The same exercise stands in several sources under other names. Tasks whose titles agree, or that share a
program which is identical but for its names, form one class; a class never stands in two splits.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

from polyclone.values import ATOM_SEPARATOR

from .units import Unit

#: The title in a path; `0500-0599` is a folder of many tasks.
_TITLE = re.compile(r"/\d{3,4}[.-](?!\s*\d+/)\s*([^/]+)/|[sg]\d{4}_([a-z0-9_]+)/|/\d{4}-([a-z0-9-]+)\.\w+$")
_FILLER = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "to",
        "for",
        "and",
        "number",
        "numbers",
        "sequence",
        "problem",
        "algorithm",
        "sum",
        "value",
        "values",
        "ii",
        "iii",
        "iv",
    ]
)
_NUMBERED = re.compile(r"^sol\d*$|^solution\d*$|^main$|^index$|^program$")
#: Programs shorter than this agree by chance.
_MIN_SHARED_ATOMS = 40
_SPLITS = ("test", "valid", "train")


class UnionFind:
    """Disjoint sets over hashable keys; the representative is the smallest key, whatever the order of joins."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, key: str) -> str:
        root = key
        while (parent := self._parent.setdefault(root, root)) != root:
            root = parent
        while self._parent[key] != root:
            self._parent[key], key = root, self._parent[key]
        return root

    def union(self, a: str, b: str) -> None:
        low, high = sorted((self.find(a), self.find(b)))
        self._parent[high] = low


def task_key(unit: Unit) -> str:
    """The task of a unit; a file named after its number (`sol1.py`) counts by its folder instead."""
    assert unit.task is not None
    if _NUMBERED.match(unit.task.rsplit("/", 1)[-1]):
        return f"{unit.task}@{unit.path.rsplit('/', 1)[0]}"
    return unit.task


def title(unit: Unit) -> str:
    """Folded title of the task, `` when there is none worth comparing: `0509.Fibonacci Number` → `fibonacci`."""
    assert unit.task is not None
    source, _, slug = task_key(unit).partition("/")
    if source == "leetcode":
        found = _TITLE.search("/" + unit.path)
        slug = next((group for group in found.groups() if group), "") if found else ""
    words = [word for word in re.split(r"[^a-z0-9]+", slug.lower()) if word and word not in _FILLER]
    folded = "".join(words)
    return folded if len(folded) >= 5 and "@" not in slug else ""


def shape(unit: Unit) -> str | None:
    """Digest of the unit with every identifier numbered by first use; None if it is too short to tell."""
    atoms = unit.normalised.split(ATOM_SEPARATOR)
    if len(atoms) < _MIN_SHARED_ATOMS:
        return None
    numbers: dict[str, str] = {}
    text = (numbers.setdefault(a[1:], str(len(numbers))) if a[0] in "ic" else a for a in atoms)
    return hashlib.sha256(ATOM_SEPARATOR.join((unit.language, *text)).encode("utf-8", "replace")).hexdigest()


def cluster_tasks(units: Sequence[Unit]) -> tuple[dict[str, str], dict[str, str]]:
    """Task key → class, and class → split (`test` before `valid` before `train`)."""
    sets = UnionFind()
    by_title: dict[str, str] = {}
    by_shape: dict[str, str] = {}
    for unit in units:
        key = task_key(unit)
        sets.find(key)
        if name := title(unit):
            sets.union(by_title.setdefault(name, key), key)
        if unit.role == "program" and (digest := shape(unit)):
            sets.union(by_shape.setdefault(digest, key), key)
    classes = {task_key(unit): sets.find(task_key(unit)) for unit in units}
    seen: defaultdict[str, set[str]] = defaultdict(set)
    for unit in units:
        seen[classes[task_key(unit)]].add(unit.split)
    return classes, {name: next(s for s in _SPLITS if s in splits) for name, splits in seen.items()}


def drop_duplicates(units: Iterable[Unit], classes: Mapping[str, str]) -> list[Unit]:
    """Keep one unit of each shape per class and language and role."""
    seen: set[Hashable] = set()
    kept: list[Unit] = []
    for unit in units:
        digest = shape(unit) or hashlib.sha256(unit.normalised.encode("utf-8", "replace")).hexdigest()
        where = classes[task_key(unit)] if unit.task is not None else None
        key = (where, unit.language, unit.role, digest)
        if key not in seen:
            seen.add(key)
            kept.append(unit)
    return kept


def library_ports(units: Sequence[Unit]) -> dict[int, str]:
    """Weak ports: position of a unit → class, for functions of one library that several languages share.

    Two functions of one repository are taken for ports when the last two parts of their qualified names agree
    after folding case and underscores, each language has at most two of them, their sizes are within a factor
    of three and a fifth of their names is common.
    """
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for position, unit in enumerate(units):
        parts = [re.sub(r"[^a-z0-9]", "", p.lower()) for p in unit.qualified_name.split(".")[-2:]]
        if len(parts) == 2 and len(parts[0]) >= 4 and len(parts[1]) >= 4 and "test" not in parts[0]:
            groups[(unit.source, ".".join(parts))].append(position)
    ports: dict[int, str] = {}
    for (source, name), members in groups.items():
        by_language: defaultdict[str, list[int]] = defaultdict(list)
        for position in members:
            by_language[units[position].language].append(position)
        if len(by_language) < 2 or max(map(len, by_language.values())) > 2:
            continue
        chosen = [positions[0] for positions in by_language.values()]
        kept = [a for a in chosen if any(_alike(units[a], units[b]) for b in chosen if b != a)]
        if len(kept) >= 2:
            ports.update((position, f"port/{source}/{name}") for position in kept)
    return ports


def _names(unit: Unit) -> set[str]:
    return {a[1:].lower().replace("_", "") for a in unit.normalised.split(ATOM_SEPARATOR) if a[0] in "ic"}


def _alike(a: Unit, b: Unit) -> bool:
    sizes = sorted((len(a.normalised), len(b.normalised)))
    left, right = _names(a), _names(b)
    return sizes[1] <= 3 * sizes[0] and 5 * len(left & right) >= min(len(left), len(right))
