"""The runtime: options per device, what is said when a device does not answer, tensors bound to it or not."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from polyclone.encode import runtime
from polyclone.encode.onnx import INPUTS, OUTPUT
from polyclone.encode.runtime import CPU, CUDA, fallback_message, installed, plan, run, session
from polyclone.errors import ModelError, UsageError
from support.bundles import encoder_graph


def test_the_plan_for_the_cpu() -> None:
    made = plan("cpu", threads=3)
    assert made.providers == ((CPU, {}),)
    assert (made.wanted, made.threads, made.io_binding) == (CPU, 3, False)


def test_the_plan_for_cuda() -> None:
    made = plan("cuda")
    assert [name for name, _ in made.providers] == [CUDA, CPU]
    assert made.io_binding
    options = dict(made.providers[0][1])
    assert options == {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        "use_tf32": "0",
    }
    limited = plan("cuda", memory_limit_bytes=2 << 30)
    assert limited.providers[0][1]["gpu_mem_limit"] == str(2 << 30)
    assert plan("cuda") == made


def test_an_unknown_device_is_misuse() -> None:
    with pytest.raises(UsageError, match="Unknown device 'tpu'; use cpu or cuda"):
        plan("tpu")


@pytest.mark.parametrize(
    ("available", "packages", "reason"),
    [
        ([CPU], {"onnxruntime": "1"}, "the installed runtime has no such provider: pip uninstall -y onnxruntime"),
        ([CUDA, CPU], {"onnxruntime-gpu": "1"}, "no device answers, or CUDA or cuDNN cannot be loaded"),
        ([CPU], {"onnxruntime": "1", "onnxruntime-gpu": "1"}, "are both installed and overwrite each other"),
        ([CUDA, CPU], {"onnxruntime": "1", "onnxruntime-gpu": "1"}, "are both installed and overwrite each other"),
    ],
)
def test_a_fallback_says_why(available: list[str], packages: dict[str, str], reason: str) -> None:
    said = fallback_message(CUDA, available, packages)
    assert said.startswith("CUDAExecutionProvider is not available here; running on the CPU instead. Reason: ")
    assert reason in said


def test_a_runtime_is_installed() -> None:
    assert installed()
    assert set(installed()) <= {"onnxruntime", "onnxruntime-gpu"}


def test_without_a_runtime_the_message_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"pip install onnxruntime \(CPU\), or onnxruntime-gpu \(CUDA\), never both"):
        session(encoder_graph(), "here")


def test_half_a_runtime_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left when one of two distributions in one folder was removed: a package without its library."""
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    with pytest.raises(ModelError, match=r"The ONNX runtime is broken.*pip uninstall -y onnxruntime onnxruntime-gpu"):
        session(encoder_graph(), "here")


def test_an_empty_folder_is_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of both when both were removed: a package without anything in it."""
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    monkeypatch.setattr(runtime, "installed", dict)
    with pytest.raises(ModelError, match="No ONNX runtime is installed: pip install onnxruntime"):
        session(encoder_graph(), "here")


def feed() -> dict[str, Any]:
    chance = np.random.default_rng(0)
    ids = chance.integers(0, 40, (3, 9))
    values: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "word_ids": chance.integers(0, 40, (3, 5)),
        "word_weights": chance.random((3, 5), np.float32),
    }
    assert set(values) == set(INPUTS)
    return values


def test_bound_tensors_give_the_same_bits() -> None:
    made = session(encoder_graph(), "here")
    plain = run(made, feed(), OUTPUT)
    bound = run(made, feed(), OUTPUT, io_binding=True)
    assert bound.tobytes() == plain.tobytes()
    # A row that does not lie in one piece, as a slice of a larger array.
    odd = {name: np.repeat(values, 2, axis=1)[:, ::2] for name, values in feed().items()}
    assert run(made, odd, OUTPUT, io_binding=True).tobytes() == plain.tobytes()


def test_sessions_are_made_with_the_options_of_production(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    real = runtime.session_options

    def spy(ort: Any, made: Any) -> Any:
        seen.append(real(ort, made))
        return seen[-1]

    monkeypatch.setattr(runtime, "session_options", spy)
    session(encoder_graph(), "here")
    (options,) = seen
    assert options.intra_op_num_threads == 1
    assert options.inter_op_num_threads == 1
    assert options.use_deterministic_compute


@pytest.mark.skipif(CUDA not in runtime.runtime().get_available_providers(), reason="the runtime has no CUDA")
def test_cuda_gives_what_the_cpu_gives() -> None:
    made = session(encoder_graph(), "here", device="cuda")
    if runtime.provider(made) != CUDA:
        pytest.skip("no device answers")
    found = run(made, feed(), OUTPUT)
    np.testing.assert_allclose(found, run(session(encoder_graph(), "here"), feed(), OUTPUT), atol=1e-3)
