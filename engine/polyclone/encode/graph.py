"""One graph of a bundle on a device: loaded when first used, checked for its names, run; errors say where."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from polyclone.artifact import Bundle
from polyclone.encode.runtime import CPU, Feed, provider, run, session
from polyclone.errors import ModelError


class Graph:
    """Thread-safe. `name` is the file; on a GPU the half-precision twin runs in its place, where there is one."""

    def __init__(self, bundle: Bundle, name: str, inputs: Sequence[str], output: str, *, device: str) -> None:
        self._bundle, self._name = bundle, name
        self._inputs, self._output = tuple(inputs), output
        self._device = device
        self._lock = threading.Lock()
        self._session: Any = None

    @property
    def provider(self) -> str:
        """The execution provider in use; loads the graph."""
        return provider(self._loaded())

    @property
    def batches(self) -> bool:
        """Whether it pays to run several units at once; loads the graph. The CPU gains nothing by it."""
        return self.provider != CPU

    def run(self, feed: Feed) -> NDArray[Any]:
        """The output for one feed. `ModelError` for whatever the runtime raises."""
        made = self._loaded()
        try:
            return run(made, feed, self._output)
        except Exception as error:  # the runtime's own, unrelated types
            raise self.failure(error) from error

    def failure(self, error: Exception) -> ModelError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return ModelError(f"{self._bundle.location}: {self._name} fails ({reason}). Export it again.")

    def _loaded(self) -> Any:
        with self._lock:
            if self._session is None:
                made = self._make()
                names = {node.name for node in made.get_inputs()}
                if names != set(self._inputs) or made.get_outputs()[0].name != self._output:
                    raise ModelError(
                        f"{self._bundle.location}: {self._name} reads {sorted(names)}; expected"
                        f" {sorted(self._inputs)} and an output {self._output!r}. Export the bundle again."
                    )
                self._session = made
            return self._session

    def _make(self) -> Any:
        where = self._bundle.location
        name = self._bundle.on(self._device).graph_name(self._name)
        made = session(self._bundle.read(name), f"{where}: {name}", device=self._device)
        if name != self._name and provider(made) == CPU:
            # Half precision is for a GPU alone: the CPU would convert every weight at every run.
            made = session(self._bundle.read(self._name), f"{where}: {self._name}")
        return made
