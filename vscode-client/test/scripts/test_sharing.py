"""What several versions of Python share in a bundle, and what stays apart. `python -m unittest` runs it."""

from __future__ import annotations

import sys
import tempfile
import unittest
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from licences import table
from sharing import share

Tree = Mapping[str, str]


def shared(*trees: Tree) -> dict[str, str]:
    """The files after sharing, where `trees` are the packages for Python 3.11, 3.12, …"""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        folders = [root / f"cp3{minor}" for minor in range(11, 11 + len(trees))]
        for folder, tree in zip(folders, trees, strict=True):
            write(folder, tree)
        share(folders, root / "shared")
        return {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*") if path.is_file()}


def write(folder: Path, tree: Tree) -> None:
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)


class Sharing(unittest.TestCase):
    def test_equal_packages_and_modules_are_kept_once(self) -> None:
        tree = {"attr/__init__.py": "a", "typing_extensions.py": "t"}
        self.assertEqual(shared(tree, tree), {f"shared/{name}": content for name, content in tree.items()})

    def test_compiled_parts_for_several_versions_lie_side_by_side(self) -> None:
        found = shared(
            {"p/__init__.py": "i", "p/_x.cpython-311-x.so": "11", "p.libs/blas.so": "b"},
            {"p/__init__.py": "i", "p/_x.cpython-312-x.so": "12", "p.libs/blas.so": "b"},
        )
        names = ["p.libs/blas.so", "p/__init__.py", "p/_x.cpython-311-x.so", "p/_x.cpython-312-x.so"]
        self.assertEqual(sorted(found), [f"shared/{name}" for name in names])
        self.assertEqual([found[f"shared/p/_x.cpython-3{n}-x.so"] for n in (11, 12)], ["11", "12"])

    def test_a_package_whose_files_differ_stays_apart_with_its_libraries(self) -> None:
        one = {"p/_x.pyd": "11", "p.libs/blas.dll": "b", "q/q.py": "q"}
        other = {"p/_x.pyd": "12", "p.libs/blas.dll": "b", "q/q.py": "q"}
        names = [
            "cp311/p.libs/blas.dll",
            "cp311/p/_x.pyd",
            "cp312/p.libs/blas.dll",
            "cp312/p/_x.pyd",
            "shared/q/q.py",
        ]
        self.assertEqual(sorted(shared(one, other)), names)

    def test_libraries_that_differ_keep_their_package_apart(self) -> None:
        one, other = {"p/p.py": "p", "p.libs/a.so": "1"}, {"p/p.py": "p", "p.libs/a.so": "2"}
        self.assertFalse([name for name in shared(one, other) if name.startswith("shared")])

    def test_notes_of_the_build_hinder_nobody(self) -> None:
        one = {"p-1.dist-info/WHEEL": "cp311", "p-1.dist-info/RECORD": "1", "numpy/__config__.py": "1"}
        other = dict.fromkeys(one, "other")
        self.assertEqual(shared(one, other), {f"shared/{name}": content for name, content in one.items()})

    def test_another_release_for_another_python_stays_apart(self) -> None:
        found = shared(
            {"p/p.py": "1", "p-1.dist-info/WHEEL": "w"},
            {"p/p.py": "2", "p-2.dist-info/WHEEL": "w"},
        )
        self.assertEqual(len(found), 4)
        self.assertFalse([name for name in found if name.startswith("shared")])

    def test_what_only_one_version_needs_is_only_its_own(self) -> None:
        self.assertIn("cp311/backport/b.py", shared({"backport/b.py": "b", "p.py": "p"}, {"p.py": "p"}))


class Licences(unittest.TestCase):
    def rows(self, metadata: str, tree: Tree) -> str:
        with tempfile.TemporaryDirectory() as scratch:
            head = "Metadata-Version: 2.4\nName: some-package\nVersion: 1.0\n"
            write(Path(scratch) / "shared", {"some_package-1.0.dist-info/METADATA": head + metadata, **tree})
            return table(Path(scratch)).splitlines()[-1]

    def test_name_and_text_are_in_the_table(self) -> None:
        row = self.rows("License-Expression: MIT\n", {"some_package-1.0.dist-info/licenses/LICENSE": "text"})
        self.assertEqual(row, "| some-package | 1.0 | MIT | shared/some_package-1.0.dist-info/licenses/LICENSE |")

    def test_a_text_inside_the_package_counts(self) -> None:
        row = self.rows("License: MIT License\n", {"some_package/LICENSE": "text", "some_package/a.py": ""})
        self.assertEqual(row, "| some-package | 1.0 | MIT License | shared/some_package/LICENSE |")

    def test_a_missing_text_is_said(self) -> None:
        row = self.rows("Classifier: License :: OSI Approved :: MIT License\n", {})
        self.assertEqual(row, "| some-package | 1.0 | MIT License | not in the package |")

    def test_a_text_alone_is_enough(self) -> None:
        row = self.rows("", {"some_package-1.0.dist-info/licenses/LICENSE.txt": "text"})
        self.assertIn("| see the text | shared/some_package-1.0.dist-info/licenses/LICENSE.txt |", row)

    def test_a_package_that_says_nothing_is_an_error(self) -> None:
        with self.assertRaisesRegex(SystemExit, "some-package 1.0 says nothing of its licence"):
            self.rows("", {"some_package/a.py": ""})


if __name__ == "__main__":
    unittest.main()
