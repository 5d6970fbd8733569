"""The engine and all that goes with it: model, cache, index, open documents. One thread owns it all."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from polyclone.api import Model, Progress, default_jobs, load_model
from polyclone.errors import StoreError
from polyclone.live import ON_DISK, Content, LiveWorkspace, Snapshot
from polyclone.persist import index_file
from polyclone.store import ManagedStore, NullStore, cache_directory, open_store
from polyclone.suppress import NONE
from polyclone.values import ModelInfo

from polyclone_server.documents import Document
from polyclone_server.folders import folder_of
from polyclone_server.options import ANYWHERE, Wanted, is_excluded, options_of, problems_of, rules_of
from polyclone_server.settings import Problem
from polyclone_server.suppressing import read_suppressions
from polyclone_server.view import View

logger = logging.getLogger(__name__)
T = TypeVar("T")


class UnavailableError(Exception):
    """There is nothing to answer from; the message says why, for the user."""


class Listener(Protocol):
    """What the owner tells. Called on its thread; must return at once."""

    def loading(self) -> None: ...

    def loaded(self, info: ModelInfo, provider: str) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def published(self, view: View) -> None: ...

    def settled(self, *, complete: bool) -> None:
        """Nothing is left to do for now. Not `complete`: somebody stopped the reading."""

    def failed(self, message: str) -> None: ...

    def problems(self, source: str, problems: tuple[Problem, ...]) -> None:
        """All that `source` has to complain about now."""


@dataclass(frozen=True, slots=True)
class Owned:
    """What a call on the owner's thread may use."""

    live: LiveWorkspace
    view: View


class Owner:
    """Every method runs on the owner's thread. Methods raise `PolycloneError` for what the user can mend."""

    def __init__(
        self,
        listener: Listener,
        interrupted: Callable[[], bool],
        inbox: Callable[[], Mapping[str, Document | None]],
    ) -> None:
        self._listener = listener
        self._interrupted = interrupted
        self._inbox = inbox
        self._wanted = Wanted()
        self._model: Model | None = None
        self._loaded_as: tuple[object, ...] = ()
        self._live: LiveWorkspace | None = None
        self._store: ManagedStore = NullStore()
        self._open: dict[str, Document] = {}
        """Documents as the client last had them, wherever the engine may be."""
        self._applied: dict[str, Document] = {}
        """Documents as they went into the engine's present snapshot."""
        self._suppressions = NONE
        self._view: View | None = None
        self.unsaved = False

    def take(self, changes: Mapping[str, Document | None]) -> None:
        """Effect: remembers what is open, for whenever the engine is made anew."""
        for key, document in changes.items():
            if document is None:
                self._open.pop(key, None)
            else:
                self._open[key] = document

    def adjust(self, wanted: Wanted | None, *, reread: bool, forget: bool) -> None:
        """Effect: model, folders and options become those wanted, with as little work as that takes."""
        before, self._wanted = self._wanted, wanted or self._wanted
        wanted = self._wanted
        identity = (wanted.settings.model, wanted.settings.device, wanted.settings.jobs)
        if self._model is None or identity != self._loaded_as:
            self._load(identity)
        model = self._model
        assert model is not None
        self._listener.problems("thresholds", problems_of(wanted, model))
        self._read_suppressions()
        if forget:
            self._forget(model)
        options = options_of(wanted, model)
        if self._live is None:
            self._live = LiveWorkspace(
                model,
                options=options,
                store=self._store,
                index_file=index_file(cache_directory(), wanted.roots, model),
            )
            reread = True
        elif options != self._live.options:
            self._live.set_options(options, cancelled=self._interrupted, publish=self._publish)
        if reread or wanted.roots != before.roots or not self._live.snapshot.complete:
            self._live.index_file = index_file(cache_directory(), wanted.roots, model)
            self._read()
        self.apply(dict(self._open))

    def apply(self, changes: Mapping[str, Document | None]) -> None:
        """Effect: the engine holds the changes, and a view of that is published."""
        live = self._live
        if live is None:
            return
        if changes:
            live.apply(self._contents(changes), cancelled=self._interrupted, publish=self._publish)
            self.unsaved = True
        self._publish(live.snapshot, frozenset())

    def reread_suppressions(self) -> None:
        """Effect: the view follows the `.polyclone/` files."""
        self._read_suppressions()
        if self._live is not None:
            self._publish(self._live.snapshot, frozenset())

    def answer(self, function: Callable[[Owned], T], future: Future[T]) -> None:
        """Effect: the future has what `function` gives, or raises."""
        if not future.set_running_or_notify_cancel():
            return
        try:
            if self._live is None or self._view is None:
                raise UnavailableError("Nothing is indexed; polyclone/status says why.")
            future.set_result(function(Owned(self._live, self._view)))
        except Exception as error:  # handed to whoever asked, by way of the future
            future.set_exception(error)

    def settle(self) -> None:
        """Effect: says that nothing is left to do."""
        if self._live is not None:
            self._listener.settled(complete=self._live.snapshot.complete)

    def save(self) -> None:
        """Effect: writes the index to disk."""
        self.unsaved = False
        if self._live is not None:
            self._live.save()

    def close(self) -> None:
        """Effect: saves what is unsaved, ends the parser processes, closes the cache."""
        if self.unsaved:
            self.save()
        if self._live is not None:
            self._live.close()
        self._store.close()

    def _load(self, identity: tuple[object, ...]) -> None:
        self._listener.loading()
        self._drop_live()
        self._model = None
        settings = self._wanted.settings
        self._model = load_model(settings.model, threads=settings.jobs or default_jobs(), device=settings.device)
        self._loaded_as = identity
        if isinstance(self._store, NullStore):
            self._store = _open_store()
        self._listener.loaded(self._model.info, self._model.provider)

    def _read(self) -> None:
        live = self._live
        assert live is not None
        try:
            live.open(
                self._wanted.roots,
                report=self._listener.progress,
                cancelled=self._interrupted,
                publish=self._publish,
                first=tuple(self._open),
                inbox=self._arrived_meanwhile,
            )
        finally:
            self.unsaved = True

    def _arrived_meanwhile(self) -> dict[str, Content | None]:
        changes = self._inbox()
        self.take(changes)
        return self._contents(changes)

    def _contents(self, changes: Mapping[str, Document | None]) -> dict[str, Content | None]:
        """What the engine is to hold. Effect: the next view is made from these documents."""
        contents: dict[str, Content | None] = {}
        for key, document in changes.items():
            if document is None or document.language is None or not self._wants(key):
                self._applied.pop(key, None)
                contents[key] = ON_DISK
            else:
                self._applied[key] = document
                contents[key] = Content(source=document.text.data, language=document.language)
        return contents

    def _wants(self, key: str) -> bool:
        """Whether an open document is to be held: not where all is switched off, nor what the user leaves out."""
        home = folder_of(self._wanted.folders, key)
        scope = self._wanted.scope(home.path if home else ANYWHERE)
        return scope.settings.enable and (self._live is None or not is_excluded(self._live.options, key))

    def _publish(self, snapshot: Snapshot, changed: frozenset[str]) -> None:
        model, live = self._model, self._live
        assert model is not None and live is not None
        rules = rules_of(self._wanted, model)
        least = live.options.min_atoms
        self._view = View(
            snapshot=snapshot,
            applied=MappingProxyType(dict(self._applied)),
            folders=self._wanted.folders,
            rules=rules,
            suppressions=self._suppressions,
            model_digest=model.info.digest,
            min_atoms=model.min_atoms if least is None else least,
        )
        self._listener.published(self._view)

    def _read_suppressions(self) -> None:
        folders = [(folder.path, self._wanted.scope(folder.path).baseline) for folder in self._wanted.folders]
        self._suppressions, problems = read_suppressions(folders)
        self._listener.problems("suppressions", problems)

    def _forget(self, model: Model) -> None:
        self._drop_live()
        self._store.clear()
        index_file(cache_directory(), self._wanted.roots, model).unlink(missing_ok=True)

    def _drop_live(self) -> None:
        if self._live is not None:
            self._live.close()
        self._live = None
        self._applied = {}


def _open_store() -> ManagedStore:
    try:
        return open_store(warn=logger.warning)
    except StoreError as error:
        logger.warning("working without the cache: %s", error)
        return NullStore()
