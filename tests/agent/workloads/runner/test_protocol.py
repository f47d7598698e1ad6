import dataclasses
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.runtime.typed_json import from_json
from agent.workloads.engine_spec import EngineSpec
from agent.workloads.input_spec import InputSpec
from agent.workloads.model_record import Agreement, LoadedModel
from agent.workloads.onnx.spec import OnnxSpec
from agent.workloads.runner.protocol import (
    Failed,
    Load,
    Measure,
    Measured,
    OutOfMemory,
    Prepare,
    Prepared,
    Ready,
    Stop,
    decode_command,
    decode_reply,
    encode,
    load_command,
)
from agent.workloads.transformer.spec import TransformerSpec

counts = st.integers(0, 2**63)
seconds = st.floats(0, 1e9)
series = st.lists(seconds, max_size=20).map(tuple)
sizes = st.integers(1, 4096)
shape_sizes = st.integers(0, 4096)
transformer_specs = st.builds(
    lambda heads, head_width, **options: TransformerSpec(width=2 * heads * head_width, heads=heads, **options),
    heads=st.integers(1, 16),
    head_width=st.integers(1, 64),
    layers=sizes,
    vocabulary=st.integers(2, 10**6),
    mlp_ratio=st.floats(1, 64),
    prompt_tokens=sizes,
    output_tokens=sizes,
    positions=st.sampled_from(["rope", "learned"]),
    precision=st.sampled_from(["fp32", "fp16", "int8"]),
    seed=st.integers(0, 2**63),
)
shapes = st.dictionaries(st.text(min_size=1), st.lists(shape_sizes, min_size=1, max_size=5).map(tuple), max_size=3)
input_spec = st.one_of(
    st.builds(InputSpec, text=st.text()),
    st.builds(InputSpec, file=st.sampled_from([Path("x.npy"), Path("/a b/ü.npz")]), array=st.none() | st.text()),
)
onnx_specs = st.builds(
    OnnxSpec,
    model=st.sampled_from([Path("m.onnx"), Path("/a b/ü.onnx")]),
    shapes=shapes,
    dims=st.dictionaries(st.text(), shape_sizes, max_size=3),
    seed=st.integers(0, 9),
    inputs=st.dictionaries(st.text(), input_spec, max_size=2),
)
specs = transformer_specs | onnx_specs
engines = st.builds(EngineSpec, device=st.sampled_from(["auto", "cpu", "cuda"]), threads=st.integers(0, 512))
commands = st.one_of(
    st.builds(load_command, spec=specs, engine=engines),
    st.builds(Prepare, parameters=st.dictionaries(st.text(), counts | st.text() | seconds | st.booleans())),
    st.builds(Measure, phase=st.text(), seconds=seconds, iterations=counts),
    st.just(Stop()),
)
models = st.builds(
    LoadedModel,
    precision=st.none() | st.text(),
    parameters=st.none() | counts,
    model_bytes=st.none() | counts,
    load_start_ns=counts,
    load_seconds=seconds,
    agreement=st.none() | st.builds(Agreement, st.text(), seconds, st.none() | seconds, counts),
)
replies = st.one_of(
    st.builds(
        Ready,
        engine=st.text(),
        version=st.text(),
        provider=st.text(),
        threads=counts,
        precision=st.none() | st.text(),
        parameters=counts,
        model_bytes=counts,
        sha256=st.none() | st.text(),
        phases=st.lists(st.text(), max_size=3).map(tuple),
        load_seconds=seconds,
    ),
    st.builds(Prepared, start_ns=counts, end_ns=counts, model=st.none() | models),
    st.builds(OutOfMemory, message=st.text(), remedy=st.text()),
    st.builds(
        Measured,
        phase=st.text(),
        start_ns=counts,
        end_ns=counts,
        iterations=counts,
        inferences=counts,
        input_tokens=counts,
        output_tokens=counts,
        latencies_seconds=series,
        step_seconds=series,
    ),
    st.builds(Failed, message=st.text(), remedy=st.text()),
)


@given(commands)
def test_a_command_survives_the_round_trip_through_one_line(command):
    line = encode(command)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_command(line) == command


@given(replies)
def test_a_reply_survives_the_round_trip_through_one_line(reply):
    line = encode(reply)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_reply(line) == reply


def test_the_lines_have_the_documented_form():
    assert json.loads(encode(Prepare({"batch": 4}))) == {"do": "prepare", "parameters": {"batch": 4}}
    assert json.loads(encode(Measure("prefill", 2.0, 10))) == {
        "do": "measure",
        "phase": "prefill",
        "seconds": 2.0,
        "iterations": 10,
    }
    assert json.loads(encode(Stop())) == {"do": "stop"}
    prepared = {"reply": "prepared", "start_ns": 1, "end_ns": 2, "model": None, "work": {}}
    assert json.loads(encode(Prepared(1, 2))) == prepared


def test_a_whole_number_of_seconds_needs_no_decimal_point():
    assert decode_command(b'{"do":"measure","phase":"decode","seconds":2,"iterations":1}').seconds == 2.0


@given(specs, engines)
def test_a_spec_survives_the_round_trip_through_its_command(spec, engine):
    command = decode_command(encode(load_command(spec, engine)))
    assert (command.workload, command.engine) == (spec.workload, engine)
    assert from_json(command.spec, type(spec)) == spec


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "Input data was truncated"),
        (b"\xff\xfe", "JSON is malformed"),
        (b'{"x":' + b"[" * 100_000, "JSON is malformed: its values are nested too deep"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `do`"),
        (b'{"do":"run"}', "Invalid value 'run' - at `$.do`"),
        (b'{"do":"prepare"}', "missing required field `parameters`"),
        (b'{"do":"prepare","parameters":{},"size":2}', "unknown field `size`"),
        (b'{"do":"prepare","parameters":1}', "Expected `object`, got `int` - at `$.parameters`"),
        (b'{"do":"prepare","parameters":{"batch":[1]}}', "got `array` - at `$.parameters[...]`"),
        (b'{"do":"prepare","parameters":{"batch":null}}', "got `null` - at `$.parameters[...]`"),
        (b'{"do":"measure","phase":"decode","seconds":1,"iterations":"1"}', "Expected `int`, got `str`"),
        (b'{"do":"measure","phase":"decode","seconds":1,"iterations":1.5}', "Expected `int`, got `float`"),
        (b'{"do":"measure","phase":"decode","seconds":1,"iterations":true}', "Expected `int`, got `bool`"),
        (b'{"do":"measure","phase":"x","seconds":NaN,"iterations":1}', "JSON is malformed"),
        (b'{"do":"measure","phase":"x","seconds":null,"iterations":1}', "Expected `float`, got `null`"),
        (b'{"do":"measure","phase":"x","seconds":1e999,"iterations":1}', "Number out of range"),
        (b'{"do":"load","workload":"x","spec":"","engine":{"device":"-"}}', "--device: '-' is not the name"),
    ],
)
def test_a_line_that_is_not_a_command_is_refused_with_the_place_of_the_violation(line, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        decode_command(line)


@pytest.mark.parametrize(
    ("kind", "spec", "words"),
    [
        (TransformerSpec, "7", "Expected `object`, got `int`"),
        (TransformerSpec, '{"width":250}', "--width 250 is not an even multiple of --heads 4"),
        (TransformerSpec, '{"precision":"fp64"}', "Invalid enum value 'fp64' - at `$.precision`"),
        (OnnxSpec, "{}", "missing required field `model`"),
        (OnnxSpec, '{"model":7}', "expected Path - at `$.model`"),
        (OnnxSpec, '{"model":"m","shapes":{"x":[1,"a"]}}', "Expected `int`, got `str` - at `$.shapes[...][1]`"),
    ],
)
def test_a_spec_of_another_form_is_refused_with_its_violation(kind, spec, words):
    command = Load(kind.workload, spec, EngineSpec())
    with pytest.raises(ValueError, match=re.escape(words)):
        from_json(command.spec, kind)


def test_a_number_that_json_lacks_is_not_sent():
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(Measure("prefill", float("nan"), 1))


def test_a_value_that_json_lacks_is_not_sent():
    with pytest.raises(TypeError, match="type has no place in JSON"):
        load_command(dataclasses.replace(OnnxSpec(Path("m")), inputs={"x": Path}), EngineSpec())
