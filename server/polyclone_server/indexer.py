"""The one thread that owns the engine: it loads the model, reads the workspace and keeps it up to date.

Whoever asks only leaves a note of what is wanted and goes on. Notes of one kind replace each other, so that a storm
of changes is one update and no queue can grow. What comes out is told to a `Listener`, on this thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from polyclone.errors import PolycloneError

from polyclone_server.documents import Document
from polyclone_server.options import Wanted
from polyclone_server.owner import Listener, Owned, Owner, UnavailableError

logger = logging.getLogger(__name__)
T = TypeVar("T")

SAVE_AFTER_S = 5.0
"""Idle seconds after which the index is written to disk."""


@dataclass(slots=True)
class _Notes:
    """What is wanted and not yet done."""

    wanted: Wanted | None = None
    changes: dict[str, Document | None] = field(default_factory=dict)
    """Key → the open document, or None for what the disk says (a file that is gone included)."""
    reread: bool = False
    forget: bool = False
    suppressions: bool = False
    calls: list[tuple[Callable[[Owned], Any], Future[Any]]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.wanted or self.changes or self.reread or self.forget or self.suppressions or self.calls)

    @property
    def changes_course(self) -> bool:
        """Whether what is being read now may not be what is wanted."""
        return self.wanted is not None or self.reread or self.forget


class Indexer:
    """The notes, and the thread that acts on them. Any thread may call; every method but `stop` returns at once."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._notes = _Notes()
        self._arrived = threading.Condition()
        self._stopping = False
        self._cancelled = threading.Event()
        self._owner = Owner(listener, self._interrupted, self._inbox)
        self._thread = threading.Thread(target=self._run, name="polyclone-index", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def want(self, wanted: Wanted) -> None:
        """The index is to hold these folders by these settings, from now on."""
        with self._arrived:
            self._notes.wanted = wanted
            self._arrived.notify()

    def change(self, changes: Mapping[str, Document | None]) -> None:
        """Documents as the client has them; None for what has to be read from disk, or is gone."""
        with self._arrived:
            self._notes.changes.update(changes)
            self._arrived.notify()

    def reread(self, *, forget: bool = False) -> None:
        """Look at all folders again; with `forget`, nothing that was kept of them is used."""
        with self._arrived:
            self._notes.reread = True
            self._notes.forget |= forget
            self._arrived.notify()

    def reread_suppressions(self) -> None:
        with self._arrived:
            self._notes.suppressions = True
            self._arrived.notify()

    def call(self, function: Callable[[Owned], T]) -> Future[T]:
        """Run `function` on the owner's thread, after all that was asked for before."""
        future: Future[T] = Future()
        with self._arrived:
            self._notes.calls.append((function, future))
            self._arrived.notify()
        return future

    def cancel(self) -> None:
        """Stop reading and encoding within one batch. What was found so far stays."""
        self._cancelled.set()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Effect: ends the thread, the index saved; waits for it no longer than `timeout_s`."""
        with self._arrived:
            self._stopping = True
            self._arrived.notify()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    # --- on the owner's thread ---

    def _interrupted(self) -> bool:
        return self._stopping or self._cancelled.is_set() or self._notes.changes_course

    def _inbox(self) -> dict[str, Document | None]:
        """Changes that arrived while something long is going on."""
        with self._arrived:
            changes, self._notes.changes = self._notes.changes, {}
            return changes

    def _run(self) -> None:
        while (notes := self._take()) is not None:
            try:
                self._act(notes)
            except PolycloneError as error:
                self._fail(notes, str(error))
            except Exception:  # the owner's thread must outlive any defect, and say so
                logger.exception("the index could not be brought up to date")
                self._fail(notes, "An internal error stopped the index. Restart the server; its log says more.")
        self._owner.close()

    def _fail(self, notes: _Notes, message: str) -> None:
        self._listener.failed(message)
        for _, future in notes.calls:
            if not future.done():
                future.set_exception(UnavailableError(message))

    def _act(self, notes: _Notes) -> None:
        owner = self._owner
        self._cancelled.clear()
        owner.take(notes.changes)
        if notes.wanted is not None or notes.reread or notes.forget:
            owner.adjust(notes.wanted, reread=notes.reread, forget=notes.forget)
        elif notes.changes:
            owner.apply(notes.changes)
        if notes.suppressions:
            owner.reread_suppressions()
        for function, future in notes.calls:
            owner.answer(function, future)
        if not self._notes.changes_course:
            owner.settle()

    def _take(self) -> _Notes | None:
        """The next notes, None at the end. Effect: waits; saves when there is time."""
        with self._arrived:
            while not self._notes and not self._stopping:
                if self._arrived.wait(SAVE_AFTER_S if self._owner.unsaved else None) or self._notes:
                    continue
                self._arrived.release()
                try:
                    self._owner.save()
                finally:
                    self._arrived.acquire()
            if self._stopping:
                for _, future in self._notes.calls:
                    future.cancel()
                return None
            notes, self._notes = self._notes, _Notes()
            return notes
