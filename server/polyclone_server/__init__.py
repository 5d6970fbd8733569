"""The language server over the polyclone engine."""

from polyclone import __version__

__all__ = ["__version__"]
