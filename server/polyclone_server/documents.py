"""The documents a client has open: texts, versions, languages, and the cells of notebooks. Effect: none on disk.

Every document has a key, under which the engine knows it: the path of a file, the URI of everything else.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

from polyclone.errors import UsageError
from polyclone.languages import LANGUAGES, detect, resolve

from polyclone_server.folders import path_of, scheme_of
from polyclone_server.text import Encoding, Point, Text

logger = logging.getLogger(__name__)

_INDEXED_SCHEMES = frozenset({"file", "untitled"})
"""Other schemes (`git`, `output`, a diff's left side) show what is a file elsewhere, or no code."""
SOURCE_SUFFIXES = tuple(sorted({suffix for row in LANGUAGES.values() for suffix in row.extensions}))
SOURCE_NAMES = tuple(sorted({name for row in LANGUAGES.values() for name in row.file_names}))
"""What source files are called."""
LANGUAGE_IDS = tuple(sorted({*LANGUAGES, *(alias for row in LANGUAGES.values() for alias in row.aliases)}))
"""What clients may call the languages that are read."""
_TELLING = tuple(suffix for suffix in SOURCE_SUFFIXES if suffix != ".h")
_DIALECT_SUFFIXES = {"typescriptreact": ".tsx", "javascriptreact": ".jsx"}


class Edit(NamedTuple):
    """One content change. Without a range, `text` is the whole new text."""

    start: Point | None
    end: Point | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One version of an open document."""

    uri: str
    key: str
    language: str | None
    """Canonical name, None for what is not indexed."""
    version: int | None
    revision: int
    """Rises with every change of any document; never repeats, whatever versions a client sends."""
    text: Text

    @property
    def indexed(self) -> bool:
        return self.language is not None


class Documents:
    """What is open now. Lives on the event loop's thread; `frozen` is for the others."""

    def __init__(self, encoding: Encoding = "utf-16") -> None:
        self.encoding: Encoding = encoding
        self._by_uri: dict[str, Document] = {}
        self._by_key: dict[str, Document] = {}
        self._revisions = itertools.count(1)
        self.cells: dict[str, tuple[str, ...]] = {}
        """URI of a notebook → URIs of its cells, in order."""

    def __iter__(self) -> Iterator[Document]:
        return iter(tuple(self._by_uri.values()))

    def get(self, uri: str) -> Document | None:
        return self._by_uri.get(uri) or self._by_key.get(key_of(uri, ""))

    def key(self, uri: str) -> str:
        """The key that a document at `uri` has, or would have."""
        document = self.get(uri)
        return document.key if document is not None else key_of(uri, "")

    def by_key(self, key: str) -> Document | None:
        return self._by_key.get(key)

    def frozen(self) -> Mapping[str, Document]:
        """Key → document, as of now."""
        return MappingProxyType(dict(self._by_key))

    def open(self, uri: str, language_id: str, version: int | None, string: str, *, cell: bool = False) -> Document:
        """Effect: the document is open; opened twice, it starts anew. A notebook's `cell` may have any scheme."""
        text = Text.of(string)
        document = Document(
            uri=uri,
            key=key_of(uri, language_id),
            language=_language(uri, language_id, text) if cell or scheme_of(uri) in _INDEXED_SCHEMES else None,
            version=version,
            revision=next(self._revisions),
            text=text,
        )
        self._put(document)
        return document

    def change(self, uri: str, version: int | None, edits: Sequence[Edit]) -> Document | None:
        """Effect: the edits are applied in order. None for a document that is not open, which is left at that.

        Messages arrive in order, so a version that does not rise is a slip in numbering: the text still counts.
        """
        document = self.get(uri)
        if document is None:
            logger.warning("a change of %s, which is not open, was left out", uri)
            return None
        if version is not None and document.version is not None and version <= document.version:
            logger.info("%s: version %s came after %s", uri, version, document.version)
        text = document.text
        for edit in edits:
            text = _edited(text, edit, self.encoding)
        changed = replace(document, version=version, revision=next(self._revisions), text=text)
        self._put(changed)
        return changed

    def close(self, uri: str) -> Document | None:
        """Effect: forgets the document; returns it as it last was."""
        document = self.get(uri)
        if document is not None:
            self._by_uri.pop(document.uri, None)
            if self._by_key.get(document.key) is document:
                del self._by_key[document.key]
        return document

    def _put(self, document: Document) -> None:
        earlier = self._by_key.get(document.key)
        if earlier is not None and earlier.uri != document.uri:  # The same file, spelt in another way.
            self._by_uri.pop(earlier.uri, None)
        self._by_uri[document.uri] = document
        self._by_key[document.key] = document


def key_of(uri: str, language_id: str) -> str:
    """The key of a document. What has no file name to tell a dialect by is told by its key's suffix."""
    path = path_of(uri)
    return path if path is not None else uri + _DIALECT_SUFFIXES.get(language_id, "")


def _edited(text: Text, edit: Edit, encoding: Encoding) -> Text:
    if edit.start is None or edit.end is None:
        return Text.of(edit.text)
    return text.replace(text.offset(*edit.start, encoding), text.offset(*edit.end, encoding), edit.text)


def _language(uri: str, language_id: str, text: Text) -> str | None:
    """A file whose name says what it is is that, as on disk: some clients give one language to all files of a server.

    Else the client's word counts: for headers that C and C++ share, unsaved documents and unknown endings.
    """
    path = path_of(uri)
    if path is not None and path.endswith(_TELLING):
        return detect(path, b"")
    try:
        return resolve(language_id).name
    except UsageError:
        pass
    found = detect(path, text.data[:65_536]) if path else None
    return found if found in LANGUAGES else None
