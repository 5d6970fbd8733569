"""The state of one connection, and the way of a change through it: document → pause → index → view → whoever listens.

Everything here runs on the event loop and returns at once; the engine's thread is spoken to through `Indexer`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal

from polyclone.api import Progress
from polyclone.values import ModelInfo

from polyclone_server.client import Client
from polyclone_server.documents import Document, Documents
from polyclone_server.folders import Folder, folder_of
from polyclone_server.indexer import Indexer
from polyclone_server.options import ANYWHERE, Wanted
from polyclone_server.scene import DiskTexts, Scene
from polyclone_server.settings import DEFAULTS, Problem, Scope, Settings, read, scope
from polyclone_server.view import View

logger = logging.getLogger(__name__)

STORM_S = 0.1
"""Changes on disk that come within so many seconds are one."""

REPORT_EVERY_S = 0.05

State = Literal["loading", "indexing", "ready", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How the server is, for the user to see."""

    state: State = "loading"
    message: str = "Starting"
    done: int = 0
    total: int = 0
    files: int = 0
    functions: int = 0
    pairs: int = 0
    model: ModelInfo | None = None
    provider: str = ""


@dataclass(slots=True)
class Hooks:
    """Who is told, on the event loop."""

    view: list[Callable[[], None]] = field(default_factory=list)
    condition: list[Callable[[Condition], None]] = field(default_factory=list)
    problem: list[Callable[[Problem], None]] = field(default_factory=list)
    settings: list[Callable[[], None]] = field(default_factory=list)
    closed: list[Callable[[Document], None]] = field(default_factory=list)
    folders: list[Callable[[], None]] = field(default_factory=list)
    cancelled: list[Callable[[str | int], None]] = field(default_factory=list)
    """The user cancels the progress of this token."""


class Session:
    """Made when a client connects; `start` begins the work."""

    def __init__(self) -> None:
        self.client = Client()
        self.documents = Documents()
        self.folders: tuple[Folder, ...] = ()
        self.hooks = Hooks()
        self.view: View | None = None
        self.condition = Condition()
        self.disk = DiskTexts()
        self.indexer = Indexer(_Relay(self))
        self.helpers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="polyclone-helper")
        self.whole_workspace = False
        """The user asked for a scan: findings of all files are shown from then on."""
        self.sent_settings: object = None
        """What a client that cannot be asked has sent last."""
        self.configuring = 0
        """Counts the attempts to bring the settings up to date; only the last one counts."""
        self._settings: dict[str, Settings] = {}
        self._scopes: dict[str, Scope] = {}
        self._told: dict[str, frozenset[Problem]] = {}
        self._pauses: dict[str, asyncio.TimerHandle] = {}
        self._storm: dict[str, None] = {}
        self._storm_timer: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self.loop: asyncio.AbstractEventLoop | None = None

    # --- life ---

    def start(self) -> None:
        """Effect: the index begins to be built."""
        self.loop = asyncio.get_running_loop()
        self.indexer.start()

    def stop_work(self) -> None:
        """Effect: what is in flight is given up. Returns at once."""
        self.indexer.cancel()
        for future in tuple(self._waiting):
            future.cancel()

    def stop(self) -> None:
        """Effect: ends all threads; what is in flight is given up."""
        for timer in (*self._pauses.values(), *((self._storm_timer,) if self._storm_timer else ())):
            timer.cancel()
        self._pauses.clear()
        for future in tuple(self._waiting):
            future.cancel()
        self.indexer.stop()
        self.helpers.shutdown(wait=False, cancel_futures=True)

    # --- what holds where ---

    def settings(self, key: str = ANYWHERE) -> Settings:
        """The client's settings for a file; without one, for the whole process."""
        home = folder_of(self.folders, key) if key else None
        return self._settings.get(home.path if home else ANYWHERE) or self._settings.get(ANYWHERE) or DEFAULTS

    def baseline(self, folder: str) -> str | None:
        """The file of accepted pairs that a folder's configuration names."""
        found = self._scopes.get(folder)
        return found.baseline if found else None

    @property
    def shows_workspace(self) -> bool:
        """Whether findings of files that are not open are shown."""
        return self.whole_workspace or self.settings().diagnostic_mode == "workspace"

    async def configure(self, raw: Mapping[str, object], turn: int) -> None:
        """Effect: new settings hold; `raw` is the section's JSON value by path of a folder, and `ANYWHERE`.

        Folders that it does not name have the settings of `ANYWHERE`. Nothing, if `turn` is not the last any more.
        """
        loop = asyncio.get_running_loop()
        problems: list[Problem] = []
        settings: dict[str, Settings] = {}
        scopes: dict[str, Scope] = {}
        for path in (ANYWHERE, *(folder.path for folder in self.folders)):
            last = self._settings.get(path) or self._settings.get(ANYWHERE) or DEFAULTS
            settings[path], found = read(raw.get(path, raw.get(ANYWHERE)), last)
            problems += found
            if path == ANYWHERE:
                scopes[path] = _free_scope(settings[path])
                continue
            scopes[path], found = await loop.run_in_executor(
                self.helpers, scope, path, settings[path], self._scopes.get(path)
            )
            problems += found
        if turn != self.configuring:
            return
        self._settings, self._scopes = settings, scopes
        self.tell("settings", problems)
        self.want()
        for hook in self.hooks.settings:
            hook()

    def tell_folders(self) -> None:
        for hook in self.hooks.folders:
            hook()

    def want(self) -> None:
        """Effect: the index is brought in line with the folders and settings."""
        self.indexer.want(Wanted(folders=self.folders, scopes=MappingProxyType(dict(self._scopes))))

    def tell(self, source: str, problems: Iterable[Problem]) -> None:
        """Effect: shows the problems that `source` has now and did not have before."""
        now = tuple(dict.fromkeys(problems))
        known, self._told[source] = self._told.get(source, frozenset()), frozenset(now)
        for problem in now:
            if problem not in known:
                for hook in self.hooks.problem:
                    hook(problem)

    # --- documents ---

    def opened(self, document: Document) -> None:
        if document.indexed:
            self.indexer.change({document.key: document})

    def changed(self, document: Document) -> None:
        """Effect: the index follows after the pause that the settings name."""
        self._wake()
        if not document.indexed:
            return
        self._stop_pause(document.key)
        delay_s = self.settings(document.key).debounce_ms / 1000
        loop = asyncio.get_running_loop()
        self._pauses[document.key] = loop.call_later(delay_s, self._flush, document.key)

    def closed(self, document: Document) -> None:
        """Effect: the file counts as it is on disk again."""
        self._stop_pause(document.key)
        if document.indexed:
            self.indexer.change({document.key: None})
        for hook in self.hooks.closed:
            hook(document)
        self._wake()

    def touched(self, paths: Iterable[str]) -> None:
        """Effect: files that changed on disk are read again, unless they are open; a storm of them once."""
        self._storm.update(dict.fromkeys(paths))
        if self._storm and self._storm_timer is None:
            self._storm_timer = asyncio.get_running_loop().call_later(STORM_S, self._flush_storm)

    def _flush(self, key: str) -> None:
        self._pauses.pop(key, None)
        document = self.documents.by_key(key)
        if document is not None:
            self.indexer.change({key: document})

    def _flush_storm(self) -> None:
        self._storm_timer = None
        paths, self._storm = self._storm, {}
        changes = {path: None for path in paths if self.documents.by_key(path) is None}
        if changes:
            self.indexer.change(changes)

    def _stop_pause(self, key: str) -> None:
        if (timer := self._pauses.pop(key, None)) is not None:
            timer.cancel()

    # --- answers ---

    def scene(self) -> Scene | None:
        """What is known, in the texts that the client has; None before the first view."""
        return None if self.view is None else self.scene_of(self.view)

    def scene_of(self, view: View) -> Scene:
        """The same for a view that one has at hand."""
        return Scene(view, self.documents.frozen(), self.disk, self.documents.encoding)

    def is_current(self, document: Document) -> bool:
        """Whether the view was made from this version of a document."""
        if not document.indexed or self.view is None:
            return not document.indexed
        applied = self.view.applied.get(document.key)
        return applied is not None and applied.revision == document.revision

    async def next_change(self, timeout_s: float | None = None) -> bool:
        """Wait for a new view, new settings or a change of a document. False if the time was up first."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True

    def _wake(self) -> None:
        for future in tuple(self._waiting):
            if not future.done():
                future.set_result(None)

    # --- from the owner of the index, by way of the event loop ---

    def on_view(self, view: View) -> None:
        self.view = view
        snapshot = view.snapshot
        self.set_condition(files=len(snapshot.files), functions=snapshot.functions, pairs=snapshot.pairs)
        self._wake()
        for hook in self.hooks.view:
            hook()

    def set_condition(self, **values: object) -> None:
        """Effect: tells how the server is, if that changed."""
        condition = replace(self.condition, **values)  # type: ignore[arg-type]
        if condition != self.condition:
            self.condition = condition
            for hook in self.hooks.condition:
                hook(condition)


class _Relay:
    """The `Listener` of the index: carries what its thread tells over to the event loop."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stage = ""
        self._told_at = 0.0

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        loop = self._session.loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(function, *arguments)

    def _set(self, **values: object) -> None:
        self._post(lambda: self._session.set_condition(**values))

    def loading(self) -> None:
        self._set(state="loading", message="Loading the model", done=0, total=0, model=None, provider="")

    def loaded(self, info: ModelInfo, provider: str) -> None:
        self._set(state="indexing", message="Reading files", model=info, provider=provider)

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if progress.stage == self._stage and now - self._told_at < REPORT_EVERY_S:
            return
        self._stage, self._told_at = progress.stage, now
        message = _STAGES.get(progress.stage, progress.stage)
        self._set(state="indexing", message=message, done=progress.done, total=progress.total or 0)

    def published(self, view: View) -> None:
        self._post(self._session.on_view, view)

    def settled(self, *, complete: bool) -> None:
        message = "Ready" if complete else "Indexing was stopped; a scan of the workspace goes on with it"
        self._set(state="ready", message=message, done=0, total=0)

    def failed(self, message: str) -> None:
        self._set(state="error", message=message, done=0, total=0)

    def problems(self, source: str, problems: tuple[Problem, ...]) -> None:
        self._post(self._session.tell, source, problems)


_STAGES = {
    "discover": "Looking for files",
    "parse": "Reading files",
    "encode": "Encoding functions",
    "search": "Searching",
    "judge": "Judging pairs",
}


def _free_scope(settings: Settings) -> Scope:
    """What holds outside of all folders, where no configuration file is looked for."""
    return Scope(
        settings=settings,
        min_probability=settings.min_probability,
        precision=settings.precision,
        same_language=bool(settings.same_language),
        languages=settings.languages,
    )
