"""Shared bundles: a sound one is installed, a hostile one is refused before anything is written."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from polyclone import archive, install
from polyclone.archive import Archive
from polyclone.artifact import (
    BACKGROUND,
    CARD,
    ENCODER,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PAIR_HEAD,
    TOKENIZER,
    load_bundle,
)
from polyclone.cli import main
from polyclone.encode.graph_check import MAX_DEPTH, check_graph
from polyclone.errors import ModelError, UsageError
from polyclone.install import install as install_bundle
from polyclone.model import load_model
from polyclone.signature import SUFFIX
from support.bundles import encoder_graph, head_graph, tiny_bundle, zipped

minisign = pytest.importorskip("minisign", reason="py-minisign is not installed")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    return zipped(tiny_bundle(tmp_path / "made"))


def put(path: Path, members: list[tuple[Any, bytes]], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip of exactly these members; a name or a whole `ZipInfo` each."""
    with zipfile.ZipFile(path, "w", method) as made:
        for member, content in members:
            made.writestr(member, content)
    return path


def members(shared: Path) -> list[tuple[Any, bytes]]:
    with zipfile.ZipFile(shared) as made:
        return [(name, made.read(name)) for name in made.namelist()]


def refused(path: Path, into: Path, message: str) -> None:
    """Neither loaded nor installed, and nothing is left behind."""
    with pytest.raises(ModelError, match=message) as caught:
        install_bundle(path, into=into)
    assert str(path) in str(caught.value)
    assert not into.exists() or not any(into.iterdir())


# --- what is sound ---


def test_a_shared_bundle_is_installed(shared: Path, tmp_path: Path) -> None:
    done = install_bundle(shared, into=tmp_path / "models")
    assert done.path.parent == tmp_path / "models"
    assert done.path.name == f"tiny-1-{done.bundle.digest[:12]}"
    assert done.bundle.digest == load_bundle(shared).digest == load_bundle(done.path).digest
    assert done.sha256 == hashlib.sha256(shared.read_bytes()).hexdigest()
    assert (done.signed, done.already) == (None, False)
    assert not any(path.stat().st_mode & 0o111 for path in done.path.iterdir())
    assert [path.name for path in (tmp_path / "models").iterdir()] == [done.path.name]
    again = install_bundle(shared, into=tmp_path / "models")
    assert again.already
    assert again.path == done.path


def test_another_bundle_in_its_place_is_told(shared: Path, tmp_path: Path) -> None:
    done = install_bundle(shared, into=tmp_path / "models")
    (done.path / CARD).write_bytes(b"changed")
    with pytest.raises(ModelError, match=r"MODEL_CARD\.md has digest"):
        install_bundle(shared, into=tmp_path / "models")


@pytest.mark.parametrize("name", ["../../evil", "a/b\\c", "", "\x1b[31mred", "." * 50, "a" * 500])
def test_a_name_leads_nowhere(name: str, tmp_path: Path) -> None:
    done = install_bundle(zipped(tiny_bundle(tmp_path, name=name)), into=tmp_path / "models")
    assert done.path.parent == tmp_path / "models"
    assert done.path.name.replace("-", "").isalnum()
    assert len(done.path.name) < 80


def test_the_command_installs(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["model", "install", "--into", str(tmp_path / "models"), str(shared)]) == 0
    out, err = capsys.readouterr()
    (folder,) = (tmp_path / "models").iterdir()
    assert out == f"tiny 1 is installed: --model {folder}\n"
    assert "no signature was checked; SHA-256 of the file: " in err
    assert main(["model", "install", str(shared), "--into", str(tmp_path / "models")]) == 0
    assert "was there already" in capsys.readouterr().out
    for action in ("info", "verify"):
        assert main(["model", action, "--model", str(folder)]) == 0
    assert "provider" in capsys.readouterr().out
    assert main(["model", "bench", "--functions", "2", "--model", str(folder)]) == 0
    assert "functions/s" in capsys.readouterr().out
    assert main(["model", "install", str(tmp_path / "nowhere.zip")]) == 2
    assert "cannot be read (No such file or directory)" in capsys.readouterr().err


def test_it_is_kept_with_the_user_s_data(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install.platformdirs, "user_data_dir", lambda *_, **__: str(tmp_path / "data"))
    assert install_bundle(shared).path.parent == tmp_path / "data" / "models"


# --- hostile archives ---


@pytest.mark.parametrize(
    "name",
    ["../evil.json", "/etc/evil.json", "a/b.json", "C:evil.json", "..\\evil.json", ".hidden", "folder/", "a\nb"],
)
def test_a_path_that_climbs_is_refused(name: str, shared: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "evil.zip", [*members(shared), (name, b"x")])
    refused(path, tmp_path / "models", "leads out of the bundle or is not a plain file name; refused")
    with pytest.raises(ModelError, match="leads out of the bundle"):
        load_bundle(path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFDIR])
def test_a_link_in_a_zip_is_refused(kind: int, shared: Path, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("notes.txt")
    link.create_system = 3
    link.external_attr = (kind | 0o777) << 16
    path = put(tmp_path / "evil.zip", [*members(shared), (link, b"/etc/passwd")])
    refused(path, tmp_path / "models", r"'notes\.txt' is a link or a special file, not a plain one; refused")


def test_a_bomb_is_refused_unread(shared: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "evil.zip", [*members(shared), ("zeros.txt", bytes(8 << 20))])
    assert path.stat().st_size < 1 << 20
    refused(path, tmp_path / "models", r"'zeros\.txt' would grow from [\d,]+ to 8,388,608 bytes, as no model does")


@pytest.mark.parametrize("claimed", [(1 << 34) + 1, 1 << 40])
def test_a_huge_claim_is_refused_unread(
    claimed: int, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = zipfile.ZipFile.infolist

    def infolist(self: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        found = real(self)
        found[-1].file_size = claimed
        return found

    monkeypatch.setattr(zipfile.ZipFile, "infolist", infolist)
    with pytest.raises(ModelError, match=r"claims [\d,]+ bytes, which is more than a model has"):
        Archive(shared)


def test_a_size_that_lies_gives_no_more_than_it_says(tmp_path: Path) -> None:
    """The header promises ten bytes for a stream of many; what comes is ten bytes or an error, never more."""
    path = put(tmp_path / "lies.zip", [("a.txt", b"x" * 100_000)])
    raw = bytearray(path.read_bytes())
    place = raw.rindex(b"PK\x01\x02")
    raw[place + 24 : place + 28] = struct.pack("<I", 10)
    path.write_bytes(raw)
    try:
        content = b"".join(Archive(path).chunks("a.txt"))
    except ModelError as error:
        assert "cannot be unpacked" in str(error)
    else:
        assert len(content) <= 10


def test_many_large_files_are_refused_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    path = put(tmp_path / "evil.zip", [(f"{i}.txt", b"x" * 400) for i in range(3)])
    with pytest.raises(ModelError, match=r"would unpack to 1,200 bytes; at most 1,000 are read"):
        Archive(path)


def test_too_many_files_are_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "evil.zip", [(f"{i}.txt", b"") for i in range(65)])
    with pytest.raises(ModelError, match=r"holds 65 files, a bundle at most 64; refused"):
        Archive(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_occurs_twice_is_refused(shared: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "evil.zip", [*members(shared), (CARD, b"another")])
    refused(path, tmp_path / "models", r"'MODEL_CARD\.md' occurs twice; refused")


def test_an_encrypted_file_is_refused(shared: Path, tmp_path: Path) -> None:
    raw = bytearray(shared.read_bytes())
    place = raw.rindex(b"PK\x01\x02")
    raw[place + 8] |= 1
    path = tmp_path / "evil.zip"
    path.write_bytes(raw)
    refused(path, tmp_path / "models", "is encrypted; refused")


def test_a_file_without_a_digest_is_refused(shared: Path, tmp_path: Path) -> None:
    path = put(tmp_path / "evil.zip", [*members(shared), ("more.txt", b"x")])
    refused(path, tmp_path / "models", r"more\.txt is not in the manifest, so no digest covers it")


@pytest.mark.parametrize("name", ["weights.pkl", "run.py", "lib.so", "model.pt", "plain"])
def test_a_file_of_another_kind_is_refused(name: str, tmp_path: Path) -> None:
    path = zipped(tiny_bundle(tmp_path / "made", files={name: b"x"}))
    refused(path, tmp_path / "models", f"{name} is no kind of file that a bundle has")


def test_a_changed_file_is_refused(shared: Path, tmp_path: Path) -> None:
    changed = [(name, content + b"!" if name == CARD else content) for name, content in members(shared)]
    refused(
        put(tmp_path / "evil.zip", changed), tmp_path / "models", r"MODEL_CARD\.md has digest .*changed or damaged"
    )


# --- hostile manifests ---


def deep(levels: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(levels):
        made = {"a": made}
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b" " * (MAX_MANIFEST_BYTES + 1), r"manifest\.json has [\d,]+ bytes, as no manifest has"),
        (lambda raw: json.dumps({**raw, "metrics": deep(200)}).encode(), "nested more than 32 deep"),
        (lambda raw: b'{"format_version": 1, "x": ' + b"[" * 200_000, "is not valid"),
        (lambda raw: json.dumps({**raw, "files": {**raw["files"], "../x": "0" * 64}}).encode(), "leads out"),
        (lambda raw: json.dumps({**raw, "dimension": 10**400}).encode(), "absurd|is not valid"),
        (lambda raw: b"\x00" * 100, "is not valid"),
    ],
    ids=["oversize", "deep", "very deep", "a path that climbs", "a huge number", "zeros"],
)
def test_a_hostile_manifest_is_refused(
    change: Callable[[dict[str, Any]], bytes], message: str, shared: Path, tmp_path: Path
) -> None:
    content = dict(members(shared))
    content[MANIFEST] = change(json.loads(content[MANIFEST]))
    path = put(tmp_path / "evil.zip", list(content.items()), zipfile.ZIP_STORED)
    refused(path, tmp_path / "models", message)


def array_of_a_terabyte() -> bytes:
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000, 64), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(64)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (BACKGROUND, array_of_a_terabyte(), r"background\.npy is not a plain array"),
        (TOKENIZER, b'{"a":' * 200_000, r"tokenizer\.json (is nested too deep|cannot be read)"),
    ],
    ids=["an array that claims terabytes", "a vocabulary nested deep"],
)
def test_contents_that_would_hurt_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        load_model(tiny_bundle(tmp_path, files={name: content}))


# --- hostile graphs ---


def edited(change: Callable[[onnx.ModelProto], None], graph: bytes = b"") -> bytes:
    model = onnx.load_from_string(graph or encoder_graph())
    change(model)
    return bytes(model.SerializeToString())


def outside(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../secret"


def outside_in_a_constant(model: onnx.ModelProto) -> None:
    tensor = numpy_helper.from_array(__import__("numpy").zeros(4, "float32"), "c")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add().key = "location"
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))


def custom_domain(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Run", ["input_ids"], ["unused"], domain="evil.ops"))


def custom_import(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("evil.ops", 1))


def compiled(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("EPContext", [], ["unused"], domain="com.microsoft"))


def function(model: onnx.ModelProto) -> None:
    model.functions.append(
        helper.make_function("local", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
                             [helper.make_opsetid("", 17)])
    )  # fmt: skip


def nested(levels: int, inner: Callable[[onnx.ModelProto], None] | None = None) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        innermost = onnx.ModelProto()
        innermost.graph.name = "body"
        if inner:
            inner(innermost)
        graph = innermost.graph
        for _ in range(levels):
            node = helper.make_node("If", ["c"], ["o"], then_branch=graph, else_branch=graph)
            graph = helper.make_graph([node], "body", [], [])
        model.graph.node.append(graph.node[0] if levels else helper.make_node("Identity", ["input_ids"], ["i"]))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (outside, "it keeps weights in another file, which no digest covers"),
        (outside_in_a_constant, "it keeps weights in another file"),
        (custom_domain, r"it uses the operator evil\.ops\.Run, which is not part of the runtime"),
        (custom_import, r"operators of the domain 'evil\.ops'"),
        (compiled, r"com\.microsoft\.EPContext, which is not part"),
        (function, "it defines functions of its own"),
        (nested(2, custom_domain), r"evil\.ops\.Run"),
        (nested(2, outside_in_a_constant), "another file"),
        (nested(MAX_DEPTH + 1), f"graphs are nested more than {MAX_DEPTH} deep"),
    ],
    ids=["outside", "outside in a constant", "custom operator", "custom domain", "compiled", "function",
         "custom in a branch", "outside in a branch", "deep"],
)  # fmt: skip
@pytest.mark.parametrize("name", [ENCODER, PAIR_HEAD])
def test_a_hostile_graph_is_refused(
    change: Callable[[onnx.ModelProto], None], message: str, name: str, tmp_path: Path
) -> None:
    graph = edited(change, encoder_graph() if name == ENCODER else head_graph())
    path = zipped(tiny_bundle(tmp_path / "made", files={name: graph}))
    refused(path, tmp_path / "models", rf"{name}: the graph is refused: .*{message}")


@pytest.mark.parametrize("content", [b"", b"\x00", b"x" * 1000, b"\x0a" + b"\xff" * 20, b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="it is no ONNX graph"):
        check_graph(content, "here")


def test_a_cut_or_flipped_graph_never_does_worse_than_an_error() -> None:
    whole = head_graph()
    check_graph(whole, "here")
    cut = [whole[:size] for size in range(0, len(whole), 7)]
    flipped = [whole[:i] + bytes([whole[i] ^ 0xFF]) + whole[i + 1 :] for i in range(0, len(whole), 5)]
    errors = []
    for content in (*cut, *flipped):
        try:
            check_graph(content, "here")
        except ModelError as error:
            errors.append(str(error))
    assert len(errors) > 0.9 * len(cut)
    assert all("the graph is refused" in error for error in errors)


def test_a_sound_graph_with_a_branch_passes() -> None:
    check_graph(edited(nested(MAX_DEPTH)), "here")
    check_graph(edited(nested(0)), "here")


# --- signatures ---


@pytest.fixture(scope="module")
def keys() -> Any:
    return minisign.KeyPair.generate()


def sign(path: Path, keys: Any, beside: Path | None = None) -> Path:
    signature = keys.secret_key.sign(path.read_bytes(), trusted_comment="tiny 1, from the makers")
    target = beside or path.with_name(path.name + SUFFIX)
    target.write_bytes(bytes(signature) + b"\n")
    return target


def key_text(keys: Any) -> str:
    return str(keys.public_key.to_base64().decode())


def test_a_signed_bundle_is_installed(
    shared: Path, keys: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sign(shared, keys)
    done = install_bundle(shared, into=tmp_path / "models", public_key=key_text(keys))
    assert done.signed == "tiny 1, from the makers"
    elsewhere = sign(shared, keys, tmp_path / "signature")
    (tmp_path / "key.pub").write_bytes(bytes(keys.public_key) + b"\n")
    options = ["--signature", elsewhere, "--public-key", tmp_path / "key.pub", "--into", tmp_path / "more"]
    assert main(["model", "install", str(shared), *map(str, options)]) == 0
    assert "signed: tiny 1, from the makers" in capsys.readouterr().err


def test_a_signature_of_somebody_else_is_refused(shared: Path, keys: Any, tmp_path: Path) -> None:
    sign(shared, minisign.KeyPair.generate())
    with pytest.raises(ModelError, match=r"was not signed by this key, or was changed since .*Nothing was installed"):
        install_bundle(shared, into=tmp_path / "models", public_key=key_text(keys))
    assert not (tmp_path / "models").exists()


def test_a_file_that_was_changed_after_signing_is_refused(shared: Path, keys: Any, tmp_path: Path) -> None:
    """The change is a comment of the zip: no digest in the manifest would notice."""
    sign(shared, keys)
    with zipfile.ZipFile(shared, "a") as made:
        made.comment = b"other"
    with pytest.raises(ModelError, match="was changed since"):
        install_bundle(shared, into=tmp_path / "models", public_key=key_text(keys))


@pytest.mark.parametrize(
    ("signature", "key", "error", "message"),
    [
        (None, "sound", UsageError, r"--signature .*\.minisig: cannot be read"),
        (b"nonsense", "sound", ModelError, "is no minisign signature"),
        ("sound", "nonsense", UsageError, "--public-key nonsense: neither a minisign key nor a file with one"),
        ("sound", None, UsageError, "--signature needs --public-key"),
    ],
    ids=["no signature", "no real signature", "no real key", "no key"],
)
def test_a_signature_that_cannot_be_checked_is_told(
    signature: bytes | str | None, key: str | None, error: type[Exception], message: str, shared: Path, keys: Any,
    tmp_path: Path,
) -> None:  # fmt: skip
    place = shared.with_name(shared.name + SUFFIX)
    if signature == "sound":
        sign(shared, keys)
    elif isinstance(signature, bytes):
        place.write_bytes(signature)
    public_key = key_text(keys) if key == "sound" else key
    with pytest.raises(error, match=message):
        install_bundle(shared, into=tmp_path / "models", signature=place, public_key=public_key)
    assert not (tmp_path / "models").exists()


def test_without_the_library_a_signature_is_never_taken_for_good(
    shared: Path, keys: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign(shared, keys)

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("polyclone.signature.import_module", missing)
    with pytest.raises(ModelError, match=r"pip install py-minisign\. Nothing was"):
        install_bundle(shared, into=tmp_path / "models", public_key=key_text(keys))
    assert install_bundle(shared, into=tmp_path / "models").signed is None


def test_a_zip_in_memory_is_read_from_the_open_file(shared: Path, tmp_path: Path) -> None:
    held = io.BytesIO(shared.read_bytes())
    shared.unlink()
    assert MANIFEST in Archive(shared, held).names
