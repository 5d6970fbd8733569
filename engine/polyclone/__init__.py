"""polyclone finds functions that do the same thing in different languages.

The names below are the stable public API. They are imported lazily, so that `import polyclone` loads
neither onnxruntime nor a grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from polyclone.api import Model, Workspace, load_model, scan
    from polyclone.values import ScanResult

__all__ = ["Model", "ScanResult", "Workspace", "__version__", "load_model", "scan"]


def __getattr__(name: str) -> Any:
    if name in {"Model", "Workspace", "load_model", "scan"}:
        from polyclone import api

        return getattr(api, name)
    if name == "ScanResult":
        from polyclone.values import ScanResult

        return ScanResult
    raise AttributeError(f"module 'polyclone' has no attribute {name!r}")
