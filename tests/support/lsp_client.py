"""What tests that drive the server through pytest-lsp say again and again."""

from __future__ import annotations

from pathlib import Path

from lsprotocol import types
from pytest_lsp import LanguageClient


def opened(client: LanguageClient, name: str, language: str) -> str:
    """Opens a file of the client's folder `root` with the text it has on disk. Returns its URI."""
    path: Path = client.root / name  # type: ignore[attr-defined]
    text = path.read_text(encoding="utf-8")
    item = types.TextDocumentItem(uri=path.as_uri(), language_id=language, version=1, text=text)
    client.text_document_did_open(types.DidOpenTextDocumentParams(text_document=item))
    return path.as_uri()


def identity(uri: str) -> types.TextDocumentIdentifier:
    return types.TextDocumentIdentifier(uri=uri)
