"""The precision of 16-bit matrices on this CPU, from the engine itself."""

import platform

import pytest

precision = pytest.importorskip("agent.workloads.engines.onnx_precision", reason="the onnx extra is not installed")


def test_the_engine_reports_the_precision_in_which_it_multiplies_16_bits():
    found = precision.fp16_computes_in()
    assert found in {"fp16", "fp32"}
    if platform.machine() == "x86_64":
        assert found == "fp32"
    assert precision.fp16_computes_in() == found
