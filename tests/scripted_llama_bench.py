#!/usr/bin/env python3
"""Writes the output of llama-bench, at a pace of its own: SCRIPTED_SECONDS for each repetition.

SCRIPTED_LARGEST is the longest prompt that fits into its memory. With SCRIPTED_OLD it does not report its progress.
"""

import json
import os
import sys
import time

seconds = float(os.environ.get("SCRIPTED_SECONDS", "0.02"))
largest = int(os.environ.get("SCRIPTED_LARGEST", "1000000"))


def given(name, default):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def report(text):
    if "SCRIPTED_OLD" not in os.environ:
        sys.stderr.write(f"llama-bench: benchmark 1/1: {text}\n")
        sys.stderr.flush()


prompt, repetitions = int(given("-p", "512")), int(given("-r", "5"))
kind = "prompt" if prompt else "generation"
report("starting")
time.sleep(0.05)
if prompt > largest:
    sys.stderr.write("alloc_tensor_range: failed to allocate CPU buffer of size 999999999999\n")
    sys.exit(1)
if "-v" in sys.argv and os.environ.get("SCRIPTED_LOG"):
    sys.stderr.write(os.environ["SCRIPTED_LOG"])
if "--no-warmup" not in sys.argv:
    report(f"warmup {kind} run")
    time.sleep(0.2)
for number in range(1, repetitions + 1):
    report(f"{kind} run {number}/{repetitions}")
    time.sleep(seconds)
sys.stdout.write(json.dumps({"build_commit": "abc123", "build_number": 7777, "n_threads": 3}) + "\n")
