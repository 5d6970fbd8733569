"""Programs → units, with the engine's own extraction and normalisation, so that training sees what serving sees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

from polyclone.extract import extract, extract_snippet
from polyclone.normalise import normalise
from polyclone.values import ATOM_SEPARATOR, Function

from .programs import Program

#: A unit of fewer atoms says too little to learn from.
MIN_ATOMS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A whole program or one function of it, as atoms."""

    program: int
    role: str
    """`program` or `function`."""
    task: str | None
    split: str
    language: str
    source: str
    license: str
    path: str
    name: str
    qualified_name: str
    doc: str
    normalised: str
    signature_atoms: int = 0
    """How many of the first atoms stand before the body; 0 if that is not known."""


def main_function(functions: Iterable[Function]) -> Function | None:
    """The function that carries a program: the one with most atoms, `main` and scripts only if alone."""
    ranked = sorted(functions, key=lambda f: (f.kind == "script", f.name.lower() == "main", -len(f.normalised)))
    return ranked[0] if ranked else None


def units_of_task_program(number: int, program: Program) -> list[Unit]:
    """The whole program, and its main function where that is not nearly all of it."""
    whole = extract_snippet(program.code, program.language)
    found = extract(program.code.encode("utf-8", "surrogatepass"), program.language, program.path).functions
    main = main_function(found)
    units = [_unit(number, program, "program", whole, name=main.name if main else "")]
    if main is not None and 2 * len(main.normalised) > 0.3 * len(whole.normalised):
        units.append(_unit(number, program, "function", main))
    return [unit for unit in units if unit.normalised.count("\x1f") + 1 >= MIN_ATOMS]


def units_of_library_file(number: int, program: Program) -> list[Unit]:
    """Every function of a library file that is neither trivial nor huge."""
    source = program.code.encode("utf-8", "surrogatepass")
    return [
        _unit(number, program, "function", function, signature=signature_atoms(source, program.language, function))
        for function in extract(source, program.language, program.path).functions
        if function.kind != "script" and 24 <= function.normalised.count("\x1f") + 1 <= 800
    ]


def signature_atoms(source: bytes, language: str, function: Function) -> int:
    """Atoms of `function` before its body; 0 where they cannot be told apart from the rest.

    A signature with comments or annotations inside is one of those: its atoms are no prefix of the function's.
    """
    start, body = function.span.start_byte, function.body_span.start_byte
    if not start < body < function.span.end_byte:
        return 0
    before = normalise(source, start, body, (), language)
    known = before and function.normalised.startswith(before + ATOM_SEPARATOR)
    return before.count(ATOM_SEPARATOR) + 1 if known else 0


def _unit(
    number: int, program: Program, role: str, function: Function, name: str | None = None, signature: int = 0
) -> Unit:
    return Unit(
        program=number,
        role=role,
        task=program.task,
        split=program.split,
        language=program.language,
        source=program.source,
        license=program.license,
        path=program.path,
        name=function.name if name is None else name,
        qualified_name=function.qualified_name,
        doc=function.doc,
        normalised=function.normalised,
        signature_atoms=signature,
    )


def _batch(work: tuple[bool, list[tuple[int, Program]]]) -> list[Unit]:
    library, programs = work
    make = units_of_library_file if library else units_of_task_program
    return [unit for number, program in programs for unit in make(number, program)]


def extract_units(programs: Iterable[Program], *, library: bool, jobs: int, first: int = 0) -> Iterator[Unit]:
    """Units of all programs in their order, extracted by `jobs` processes. Programs are numbered from `first`."""

    def batches() -> Iterator[tuple[bool, list[tuple[int, Program]]]]:
        numbered = iter(enumerate(programs, first))
        while chunk := list(islice(numbered, 64)):
            yield library, chunk

    if jobs == 1:
        for work in batches():
            yield from _batch(work)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for units in pool.map(_batch, batches(), chunksize=4):
            yield from units
