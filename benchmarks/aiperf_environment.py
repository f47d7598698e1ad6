"""Installs AIPerf into an environment of its own, below the cache of the user, when it is first needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REQUIREMENT = "aiperf==0.13.0"
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
    """Return the program `aiperf`; it needs Python 3.11 or newer, a network only for the installation."""
    cache = Path(os.environ.get("INFEROMETER_CACHE") or Path.home() / ".cache/inferometer")
    environment = cache / "proofs/aiperf/venv"
    program = environment / "bin/aiperf"
    if not program.exists():
        print(f"installing {REQUIREMENT} into {environment} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", environment], check=True)
        pip = [environment / "bin/python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([*pip, REQUIREMENT], check=True)
    return program


def write_tokenizer(program: Path, folder: Path) -> None:
    """Write a tokenizer of one token a byte, so that AIPerf needs no network."""
    quiet = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    subprocess.run([program.with_name("python"), "-c", _TOKENIZER, folder], check=True, env=quiet, capture_output=True)
