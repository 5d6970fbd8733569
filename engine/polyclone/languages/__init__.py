"""The languages polyclone reads: names, detection, grammars and queries.

One row a language (`table.py`) and one query file a language (`queries/*.scm`). Nothing here parses source;
that is `polyclone.extract`. Grammars are imported on first use, so a scan loads only those it needs.
"""

from __future__ import annotations

import importlib
import importlib.resources
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import PurePosixPath
from types import MappingProxyType

import tree_sitter

from polyclone.errors import UsageError
from polyclone.languages.detect import detect
from polyclone.languages.table import ROWS, Language

__all__ = [
    "ALIASES",
    "LANGUAGES",
    "Language",
    "detect",
    "grammar",
    "grammar_version",
    "query",
    "resolve",
    "snippet_grammars",
]

LANGUAGES: Mapping[str, Language] = MappingProxyType({row.name: row for row in ROWS})
"""Every language by its canonical name, in a fixed order."""

ALIASES: Mapping[str, str] = MappingProxyType({alias: row.name for row in ROWS for alias in row.aliases})
"""Other names people type, in lower case, by the canonical name they stand for."""


def resolve(name_or_alias: str) -> Language:
    """The row of a language. Raises `UsageError` naming the known ones for any other name."""
    key = name_or_alias.strip().lower()
    row = LANGUAGES.get(ALIASES.get(key, key))
    if row is None:
        raise UsageError(f"unknown language {name_or_alias!r}; known are {', '.join(LANGUAGES)}")
    return row


def grammar(language: str, path: str = "") -> tree_sitter.Language:
    """The grammar that reads `path`: a `.tsx` file needs another one than a `.ts` file."""
    row = LANGUAGES[language]
    factory = dict(row.grammar_variants).get(PurePosixPath(path).suffix.lower(), row.grammar_factory)
    return _load(row.grammar_module, factory)


def snippet_grammars(language: str) -> tuple[tree_sitter.Language, ...]:
    """The grammars to try, in order, on a piece of code that no file name describes."""
    row = LANGUAGES[language]
    factories = row.snippet_factories or (row.grammar_factory,)
    return tuple(_load(row.grammar_module, factory) for factory in factories)


@cache
def grammar_version(language: str) -> str:
    """The version of the installed grammar: part of every cache key, as another may read differently."""
    return version(LANGUAGES[language].grammar_package)


def query(language: str, grammar: tree_sitter.Language) -> tree_sitter.Query:
    """The compiled query of a language for one of its grammars."""
    return _compile(LANGUAGES[language].query_file, grammar)


@cache
def _load(module: str, factory: str) -> tree_sitter.Language:
    return tree_sitter.Language(getattr(importlib.import_module(module), factory)())


@cache
def _compile(query_file: str, grammar: tree_sitter.Language) -> tree_sitter.Query:
    text = importlib.resources.files(__package__).joinpath("queries", query_file).read_text(encoding="utf-8")
    optional = [line.removeprefix(";?") for line in text.splitlines() if line.startswith(";?")]
    return tree_sitter.Query(grammar, "\n".join([text, *(line for line in optional if _fits(line, grammar))]))


def _fits(pattern: str, grammar: tree_sitter.Language) -> bool:
    """Whether a grammar has the nodes of an optional pattern: of two grammars of a language one may not."""
    try:
        tree_sitter.Query(grammar, pattern)
    except tree_sitter.QueryError:
        return False
    return True
