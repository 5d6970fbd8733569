"""Files that change on disk: watchers asked for, events passed on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from lsprotocol import types
from pygls.exceptions import JsonRpcException

from polyclone_server.documents import SOURCE_NAMES, SOURCE_SUFFIXES
from polyclone_server.features.configuration import configure
from polyclone_server.folders import path_of

if TYPE_CHECKING:
    from polyclone_server.server import PolycloneServer

_ID = "polyclone-files"
_SETTINGS = ("polyclone.toml", "pyproject.toml")
_IGNORES = (".gitignore", ".ignore")
_SUPPRESSIONS = ("ignored", "baseline")
_SUPPRESSION_FOLDER = ".polyclone"


def register(server: PolycloneServer) -> None:
    watcher = _Watcher(server)
    server.session.hooks.folders.append(lambda: server.background("watching files", watcher.follow))

    @server.feature(types.WORKSPACE_DID_CHANGE_WATCHED_FILES)
    def did_change_watched_files(ls: PolycloneServer, params: types.DidChangeWatchedFilesParams) -> None:
        changes = [(path, change.type) for change in params.changes if (path := path_of(change.uri)) is not None]
        _pass_on(ls, [path for path, _ in changes])
        gone = {path for path, kind in changes if kind == types.FileChangeType.Deleted}
        ls.session.touched(_held(ls, gone))

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    def did_save(ls: PolycloneServer, params: types.DidSaveTextDocumentParams) -> None:
        """A client that watches nothing tells at least of the files that it writes."""
        path = path_of(params.text_document.uri)
        if path is not None and not ls.session.client.watches_files:
            _pass_on(ls, [path])


def _pass_on(ls: PolycloneServer, paths: Iterable[str]) -> None:
    sources: list[str] = []
    for path in paths:
        pure = PurePath(path)
        if pure.parent.name == _SUPPRESSION_FOLDER and pure.name in _SUPPRESSIONS:
            ls.session.indexer.reread_suppressions()
        elif pure.name in _SETTINGS:
            ls.background("a changed configuration file", configure, ls)
        elif pure.name in _IGNORES:
            ls.session.indexer.reread()
        elif pure.suffix.lower() in SOURCE_SUFFIXES or pure.name in SOURCE_NAMES:
            sources.append(path)
    ls.session.touched(sources)


def _held(ls: PolycloneServer, gone: set[str]) -> list[str]:
    """Files that are held and gone, or whose folder is: of a deleted folder a client may tell nothing else."""
    view = ls.session.view
    if view is None or not gone:
        return []
    prefixes = tuple(path.rstrip(os.sep) + os.sep for path in gone)
    return [key for key in view.keys if key in gone or key.startswith(prefixes)]


class _Watcher:
    """What the client was asked to watch."""

    def __init__(self, server: PolycloneServer) -> None:
        self._server = server
        self._asked = False

    async def follow(self) -> None:
        """Effect: the client watches the folders there are now, and no others. Nothing where it cannot."""
        server = self._server
        if not server.session.client.watches_files:
            return
        method = types.WORKSPACE_DID_CHANGE_WATCHED_FILES
        try:
            if self._asked:
                self._asked = False
                old = types.Unregistration(id=_ID, method=method)
                await server.client_unregister_capability_async(types.UnregistrationParams(unregisterations=[old]))
            options = types.DidChangeWatchedFilesRegistrationOptions(watchers=list(_watchers(server)))
            new = types.Registration(id=_ID, method=method, register_options=options)
            await server.client_register_capability_async(types.RegistrationParams(registrations=[new]))
            self._asked = True
        except JsonRpcException as error:
            server.report_server_error(error, type(error))


def _watchers(server: PolycloneServer) -> Iterator[types.FileSystemWatcher]:
    everything = types.WatchKind.Create | types.WatchKind.Change | types.WatchKind.Delete
    suffixes = ",".join(suffix.lstrip(".") for suffix in SOURCE_SUFFIXES)
    names = ",".join((*SOURCE_NAMES, *_SETTINGS, *_IGNORES))
    suppressions = ",".join(_SUPPRESSIONS)
    for pattern in (f"**/*.{{{suffixes}}}", f"**/{{{names}}}", f"**/{_SUPPRESSION_FOLDER}/{{{suppressions}}}"):
        yield from _watch(server, pattern, everything)
    # A deleted folder is told as itself, not as the files that were in it.
    yield from _watch(server, "**", types.WatchKind.Delete)


def _watch(server: PolycloneServer, pattern: str, kind: int) -> Iterator[types.FileSystemWatcher]:
    if not server.session.client.relative_patterns:
        yield types.FileSystemWatcher(glob_pattern=pattern, kind=kind)
        return
    for folder in server.session.folders:
        relative = types.RelativePattern(base_uri=folder.uri, pattern=pattern)
        yield types.FileSystemWatcher(glob_pattern=relative, kind=kind)
