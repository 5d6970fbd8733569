"""The mean of encoders."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from polyclone.errors import UsageError
from polyclone_distill.averaging import average
from polyclone_distill.cli import main
from polyclone_distill.trainer.model import Encoder
from polyclone_distill.trainer.starting import load_encoder, pack
from support.training import CONFIG

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(path: Path, seed: int) -> Encoder:
    torch.manual_seed(seed)
    model = Encoder(CONFIG)
    torch.save(pack(CONFIG, model.state_dict()), path)
    return load_encoder(path)


def test_a_mean_is_between_its_parts(tmp_path: Path) -> None:
    one, other = saved(tmp_path / "a.pt", 1), saved(tmp_path / "b.pt", 2)
    assert main(["average", str(tmp_path / "a.pt"), str(tmp_path / "b.pt"), "--out", str(tmp_path / "m.pt")]) == 0
    average([tmp_path / "a.pt", tmp_path / "b.pt"], tmp_path / "w.pt", [3.0, 1.0])
    even, uneven = load_encoder(tmp_path / "m.pt").state_dict(), load_encoder(tmp_path / "w.pt").state_dict()
    for name, value in one.state_dict().items():
        if value.is_floating_point():
            second = other.state_dict()[name]
            torch.testing.assert_close(even[name], (value + second) / 2, rtol=2e-3, atol=1e-4)
            torch.testing.assert_close(uneven[name], 0.75 * value + 0.25 * second, rtol=2e-3, atol=1e-4)


def test_what_cannot_be_averaged_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(tmp_path / "a.pt", 1)
    torch.manual_seed(3)
    larger = dataclasses.replace(CONFIG, layers=CONFIG.layers + 1)
    torch.save(pack(larger, Encoder(larger).state_dict()), tmp_path / "b.pt")
    a, b, out = tmp_path / "a.pt", tmp_path / "b.pt", tmp_path / "m.pt"
    with pytest.raises(UsageError, match="different sizes"):
        average([a, b], out)
    for weights in ([1.0], [-1.0, 2.0], [0.0, 0.0]):
        with pytest.raises(UsageError, match="as many"):
            average([a, a], out, weights)
    assert main(["average", str(a), "--out", str(out)]) == 2
    assert "at least two" in capsys.readouterr().err
    assert not out.exists()
