"""Which licences the packages of a bundle have, and where their texts are, as a table for people."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

HEAD = ("# Licences of the bundled packages", "", "| package | version | licence | text |", "|---|---|---|---|")
TEXTS = ("licence", "license", "copying", "notice", "thirdpartynotices")


def table(bundle: Path) -> str:
    """One row a package. A package that neither names its licence nor brings its text is an error."""
    infos = {path.name: path for path in sorted(bundle.glob("*/*.dist-info"), reverse=True)}
    rows = sorted((row(bundle, info) for info in infos.values()), key=str.lower)
    return "\n".join([*HEAD, *rows]) + "\n"


def row(bundle: Path, info: Path) -> str:
    package = Distribution.at(info)
    licence = licence_of(package)
    texts = ", ".join(path.relative_to(bundle).as_posix() for path in texts_of(info))
    if not licence and not texts:
        raise SystemExit(f"{package.name} {package.version} says nothing of its licence: look before it is bundled.")
    return f"| {package.name} | {package.version} | {licence or 'see the text'} | {texts or 'not in the package'} |"


def licence_of(package: Distribution) -> str:
    """As the package states it: an expression, else a name of one line, else its classifiers; else nothing."""
    expressions, names, classifiers = (
        package.metadata.get_all(field) or [] for field in ("License-Expression", "License", "Classifier")
    )
    short = [name for name in [*expressions, *names] if name and "\n" not in name]
    classified = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License ::")]
    return short[0] if short else ", ".join(classified)


def texts_of(info: Path) -> list[Path]:
    """Beside the package's description, else at the top of the package itself."""
    package = info.with_name(info.name.partition("-")[0])
    return texts_among(info.rglob("*")) or texts_among(package.glob("*"))


def texts_among(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.is_file() and path.name.lower().startswith(TEXTS))
