"""Compares `inferometer profile onnx` with a plain loop of ONNX Runtime on real models, and quantizes two of them.

The models come in packages of PyPI: silero-vad (speech, in two sizes), rapidocr (detection and recognition of text) and
magika (types of files). Nothing is downloaded later.
"""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from engine_environments import engine_environment
from engine_pairs import LOOPS, SLICE_SECONDS, in_rounds, profiled
from reporting import Bar, table

from agent.workloads.engine_spec import EngineSpec
from agent.workloads.input_spec import parse_inputs
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.runner.client import WorkloadProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

_PACKAGES = ("silero-vad==6.2.3", "rapidocr==3.10.0", "magika==1.0.3")
_SPEECH = ("silero-vad", "silero-vad half")
_MODELS = {
    "silero-vad": "silero_vad/data/silero_vad.onnx",
    "silero-vad half": "silero_vad/data/silero_vad_half.onnx",
    "rapidocr detection": "rapidocr/models/PP-OCRv6_det_small.onnx",
    "rapidocr recognition": "rapidocr/models/PP-OCRv6_rec_small.onnx",
    "magika": "magika/models/standard_v3_3/model.onnx",
}
_QUANTIZED = {"rapidocr recognition": ("int8", "int8_static", "int4", "fp16"), "magika": ("int8", "int4", "fp16")}
_LEAST_COSINE = {"int8": 0.95, "int4": 0.95, "fp16": 0.999}
"""The limits of the agreement; that of int8_static depends on the inputs that calibrate it."""
_THREADS = {"silero-vad": 1, "silero-vad half": 1}  # as silero-vad itself runs them; others: the choice of the engine


def environment() -> Path:
    """Return the environment with the packages of the models, without their own engines."""
    return engine_environment("onnx", "--no-deps", *_PACKAGES)


def prove(quick: bool) -> list[Bar]:
    """Measure each model by the command and in pairs with a plain loop, and quantize two of them.

    In the pairs both sides are processes that stay loaded; this side is the workload process of the command.
    """
    home = environment()
    bars = []
    with tempfile.TemporaryDirectory(prefix="inferometer-") as folder:
        saved = {name: _saved(_inputs(name), Path(folder, name)) for name in _MODELS}
        names = ("silero-vad", "magika") if quick else tuple(_MODELS)
        for name in names:
            model, threads = _model(home, name), _THREADS.get(name, 0)
            (point,) = _document(home, model, saved[name], "--threads", str(threads))["points"]
            print(f"{name}: {point['latency_seconds']['p50'] * 1e3:.4g} ms by inferometer profile", flush=True)
            (pairs,) = in_rounds(partial(_sides, home, name, threads, saved[name]), quick=quick)
            bars += [] if quick else [pairs.bar()]
        for name in ("magika",) if quick else _QUANTIZED:
            bars += _quantized(home, name, saved[name])
    return bars


def _model(home: Path, name: str) -> Path:
    (site,) = home.glob("lib/python3*/site-packages")
    return site / _MODELS[name]


def _inputs(name: str) -> dict[str, NDArray[Any]]:
    """Return the inputs of a model: a tone, noise as an image, or the text of this file."""
    random = np.random.default_rng(0)
    if name in _SPEECH:
        tone = 0.3 * np.sin(np.arange(576, dtype=np.float32) / 9)[None]
        inputs = {"input": tone, "state": np.zeros((2, 1, 128), np.float32)}
        return inputs | ({"sr": np.array(16000)} if name == "silero-vad" else {})
    if name == "magika":
        text = np.frombuffer(Path(__file__).read_bytes(), np.uint8).astype(np.int32)
        return {"bytes": np.concatenate([text[:1024], text[-1024:]])[None]}
    size = (48, 320) if name == "rapidocr recognition" else (320, 320)
    return {"x": random.uniform(-1, 1, (1, 3, *size)).astype(np.float32)}


def _saved(inputs: Mapping[str, NDArray[Any]], folder: Path) -> list[str]:
    """Save inputs, and return each as NAME=FILE.npy."""
    folder.mkdir()
    for name, values in inputs.items():
        np.save(folder / f"{name}.npy", values)
    return [f"{name}={folder / name}.npy" for name in inputs]


@contextmanager
def _sides(
    home: Path, name: str, threads: int, inputs: Sequence[str]
) -> Iterator[dict[str, tuple[Callable[[], float], Callable[[], float]]]]:
    model = _model(home, name)
    with _worker(home, model, threads, inputs) as ours, _loop(home, model, threads, inputs) as theirs:
        yield {f"{name}: seconds of a run": (ours, theirs)}


@contextmanager
def _worker(home: Path, model: Path, threads: int, inputs: Sequence[str]) -> Iterator[Callable[[], float]]:
    """Load a model in the workload process; yield a function that measures the median seconds of a run."""
    command = (str(home / "bin/python"), "-P", "-m", "agent.workloads.runner.worker")
    with WorkloadProcess(command) as worker:
        worker.start(OnnxSpec(model, inputs=parse_inputs(inputs)), EngineSpec(device="cpu", threads=threads))
        worker.prepare({"batch": 1})
        yield lambda: median(worker.measure("inference", SLICE_SECONDS, 1).latencies_seconds)


@contextmanager
def _loop(home: Path, model: Path, threads: int, inputs: Sequence[str]) -> Iterator[Callable[[], float]]:
    """Load a model in the plain loop; yield a function that measures the median seconds of a run."""
    line = [home / "bin/python", "-I", LOOPS / "onnx.py", model, str(SLICE_SECONDS), str(threads), *inputs]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def seconds() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield seconds
        process.stdin.close()


def _document(home: Path, model: Path, inputs: Sequence[str], *options: str) -> dict[str, Any]:
    values = [text for each in inputs for text in ("--input", each)]
    plan = ("--repeats", "3", "--window-seconds", "1", "--idle-seconds", "0.2", "--warmup-seconds", "1")
    return profiled(home, "onnx", "--model", model, *values, *options, *plan)


def _quantized(home: Path, name: str, inputs: Sequence[str]) -> Iterator[Bar]:
    """Print the size, time, energy and agreement of the variants of a model; yield a bar for each agreement."""
    document = _document(home, _model(home, name), inputs, "--quantize", ",".join(_QUANTIZED[name]))
    rows = []
    for point in document["points"]:
        model, found = point["model"], point["model"]["agreement"]
        joules = point["energy"]["joules_per_inference"]["total"]["mean"] if point["energy"] else None
        cosine, top1 = (found["cosine_similarity"], found["top1_agreement"]) if found else (None, None)
        latency = point["latency_seconds"]["p50"]
        shown = (model["precision"], model["model_bytes"] / 1e6, latency * 1e3, joules, cosine, top1)
        rows.append(["-" if each is None else each for each in shown])
        least = _LEAST_COSINE.get(model["precision"])
        if found and least is not None:
            yield Bar(f"{name} {model['precision']}, cosine with fp32", cosine, least, at_least=True)
    table(f"{name}: variants", ("PRECISION", "MB>", "MS>", "J>", "COSINE>", "TOP-1>"), rows)
