"""Command line and configuration file → the options of a scan. Decides which file governs; checks no value itself."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from polyclone.api import Options, default_jobs
from polyclone.cli.terminal import Terminal
from polyclone.config import Config, find_config, load_config, merge
from polyclone.discover import DiscoverOptions
from polyclone.errors import ConfigError, UsageError

logger = logging.getLogger(__name__)

FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a command works with: the merged configuration, and the engine's options made from it."""

    config: Config
    options: Options
    sources: Mapping[str, str]
    """Field name of `config` → where its value comes from, see `Resolved`."""


def settings(arguments: argparse.Namespace, paths: Sequence[Path], terminal: Terminal) -> Settings:
    """The command line laid over the file that governs `paths`. Raises `ConfigError` and `UsageError`.

    Effect: reads the configuration file; colour is set as it says.
    """
    _refuse_missing(paths)
    found = find_config(common_folder(paths))
    given = {field.name: getattr(arguments, field.name, None) for field in fields(Config)}
    resolved = merge(file=load_config(found) if found else None, command_line=given)
    logger.info("settings:\n%s", resolved.explain())
    config = resolved.config
    if config.format not in FORMATS:
        raise ConfigError(
            f'{resolved.sources["format"]}: `format` "{config.format}" is not available in this version;'
            f" use {' or '.join(FORMATS)}"
        )
    terminal.configure(config.color)
    base = resolved.exclude_base
    return Settings(
        config=config,
        sources=resolved.sources,
        options=Options(
            min_probability=config.min_probability,
            precision=config.precision,
            same_language=config.same_language,
            min_atoms=config.min_atoms,
            jobs=config.jobs or default_jobs(),
            parse_timeout_s=config.parse_timeout_s,
            discover=DiscoverOptions(
                languages=frozenset(config.languages) or None,
                exclude=config.exclude,
                exclude_base=str(base) if base else None,
                include_generated=config.include_generated,
                include_vendored=config.include_vendored,
                max_file_bytes=config.max_file_bytes,
            ),
        ),
    )


def _refuse_missing(paths: Sequence[Path]) -> None:
    """A mistyped path is told before a model is loaded. What exists but cannot be read is for `discover` to say."""
    for path in paths:
        try:
            path.stat()
        except FileNotFoundError:
            raise UsageError(f"{path}: no such file or folder") from None
        except OSError:
            continue


def common_folder(paths: Sequence[Path]) -> Path:
    """The deepest folder that holds all paths, or the path itself if it is one; absolute."""
    try:
        return Path(os.path.commonpath([path.absolute() for path in paths]))
    except ValueError:  # On Windows, different drives: the first one decides.
        return paths[0].absolute()
