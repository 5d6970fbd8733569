"""ONNX Runtime: which one is installed, how a session is made on a device, and whether it runs there in the end."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyclone.encode.graph_check import check_graph
from polyclone.errors import ModelError, UsageError

log = logging.getLogger(__name__)

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
PROVIDERS = {"cpu": CPU, "cuda": CUDA}
#: Both unpack into the folder `onnxruntime`, so that only one of them can be installed at a time.
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu")
_NO_RUNTIME = "No ONNX runtime is installed: pip install onnxruntime (CPU), or onnxruntime-gpu (CUDA), never both."
SWAP = 'pip uninstall -y onnxruntime onnxruntime-gpu, then pip install "onnxruntime-gpu[cuda,cudnn]"'

Feed = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a session is made. `providers` are (name, options) in order of preference; options are text."""

    providers: tuple[tuple[str, Mapping[str, str]], ...]
    threads: int
    """Intra-op threads of one run."""
    io_binding: bool
    """Whether inputs and outputs are bound once a run, so that nothing is copied twice between the devices."""

    @property
    def wanted(self) -> str:
        return self.providers[0][0]


def plan(device: str, *, threads: int = 1, memory_limit_bytes: int | None = None) -> Plan:
    """The session options of production for `cpu` or `cuda`. A pure function; `UsageError` for another device.

    On CUDA the arena grows by what is asked for, not by powers of two, so that memory stays near the largest batch;
    cuDNN takes its first guess, for a search per shape costs more than it saves where every length is another shape;
    TF32 is off, because a verdict must not depend on the model of the card.
    """
    if device not in PROVIDERS:
        raise UsageError(f"Unknown device {device!r}; use cpu or cuda.")
    if device == "cpu":
        return Plan(providers=((CPU, {}),), threads=threads, io_binding=False)
    options = {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        "use_tf32": "0",
    }
    if memory_limit_bytes is not None:
        options["gpu_mem_limit"] = str(memory_limit_bytes)
    return Plan(providers=((CUDA, options), (CPU, {})), threads=threads, io_binding=True)


def runtime() -> Any:
    """The onnxruntime module; `ModelError` with the remedy when there is none, or half of one."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(_NO_RUNTIME) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        if not installed():  # The folder may outlive what was in it.
            raise ModelError(_NO_RUNTIME)
        raise ModelError(
            "The ONNX runtime is broken, as it is after one of onnxruntime and onnxruntime-gpu was removed while both"
            " were installed: pip uninstall -y onnxruntime onnxruntime-gpu, then pip install one of them."
        )
    return onnxruntime


def installed() -> dict[str, str]:
    """The runtime distributions that are installed, by name, with their versions. More than one is one too many."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def session_options(ort: Any, made: Plan, *, weights_folder: str = os.devnull) -> Any:
    """The runtime's options for a plan: deterministic, quiet, and blind to files beside the graph.

    `weights_folder` is where weights outside of a graph may lie; the engine's graphs have none.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = made.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.use_deterministic_compute = True
    # Weights beside the graph would be looked for in the working directory, which may be the code that is scanned.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", weights_folder)
    return options


def session(graph: bytes, where: str, *, device: str = "cpu") -> Any:
    """An inference session over a graph in memory; `ModelError` if the graph is refused.

    Effect: a warning when the session does not run on the device that was asked for.
    """
    check_graph(graph, where)
    ort = runtime()
    wanted = plan(device)
    options = session_options(ort, wanted)
    # The runtime's own remarks go to stderr past every handler; what matters of them is said below.
    ort.set_default_logger_severity(3)
    try:
        with warnings.catch_warnings():
            # What the runtime would say of a missing provider is said below, with the remedy.
            warnings.filterwarnings("ignore", message="Specified provider", category=UserWarning)
            made = ort.InferenceSession(
                graph,
                options,
                providers=[name for name, _ in wanted.providers],
                provider_options=[dict(values) for _, values in wanted.providers],
            )
    except Exception as error:  # onnxruntime raises several unrelated types for a bad graph
        reason = str(error).splitlines()[0]
        raise ModelError(f"{where}: the runtime refuses the graph ({reason}). Export the bundle again.") from error
    if made.get_providers()[0] != wanted.wanted:
        log.warning("%s", fallback_message(wanted.wanted, ort.get_available_providers(), installed()))
    return made


def fallback_message(wanted: str, available: list[str], packages: Mapping[str, str]) -> str:
    """Why a session runs on the CPU although `wanted` was asked for, and what to do."""
    if len(packages) > 1:
        why = f"onnxruntime and onnxruntime-gpu are both installed and overwrite each other: {SWAP}"
    elif wanted not in available:
        why = f"the installed runtime has no such provider: {SWAP}"
    else:
        why = "no device answers, or CUDA or cuDNN cannot be loaded: compare nvidia-smi with the runtime's CUDA"
    return f"{wanted} is not available here; running on the CPU instead. Reason: {why}."


def provider(made: Any) -> str:
    """The execution provider that a session runs on."""
    return str(made.get_providers()[0])


def run(made: Any, feed: Feed, output: str, *, io_binding: bool | None = None) -> NDArray[Any]:
    """One output of one run. With I/O binding (the default off the CPU) tensors go to the device once.

    Raises whatever the runtime raises.
    """
    bound = provider(made) != CPU if io_binding is None else io_binding
    if not bound:
        return np.asarray(made.run([output], dict(feed))[0])
    binding = made.io_binding()
    for name, values in feed.items():
        binding.bind_cpu_input(name, np.ascontiguousarray(values))
    binding.bind_output(output, "cpu")
    made.run_with_iobinding(binding)
    return np.asarray(binding.copy_outputs_to_cpu()[0])
