"""Fixtures that several folders share. Whatever is heavy is imported and made when first asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from polyclone.model import Model


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sound bundle. Nobody may change it; who wants another makes one with `tiny_bundle`."""
    from support.bundles import tiny_bundle

    return tiny_bundle(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def model(bundle: Path) -> Model:
    """The tiny bundle, loaded."""
    from polyclone.model import load_model

    return load_model(bundle)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `polyclone-distill prepare` makes of the tiny corpus. Nobody may change it."""
    from polyclone_distill.prepare import prepare
    from support.corpus import exercises, libraries, write_rows

    folder = tmp_path_factory.mktemp("prepared")
    tasks = write_rows(folder / "tasks.parquet", exercises())
    repositories = write_rows(folder / "repositories.parquet", libraries())
    prepare([tasks], [repositories], folder / "out", jobs=1, layers=1)
    return folder / "out"


@pytest.fixture(scope="session")
def one_thread() -> None:
    """Models this small are a hundred times slower on several threads of a busy machine."""
    import torch

    torch.set_num_threads(1)
