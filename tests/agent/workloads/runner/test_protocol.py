import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.workloads.runner.protocol import (
    Failed,
    Load,
    Measure,
    Measured,
    Prepare,
    Prepared,
    Ready,
    Stop,
    decode_command,
    decode_reply,
    encode,
)
from agent.workloads.spec import EngineSpec, OnnxSpec, TransformerSpec

counts = st.integers(0, 2**63)
seconds = st.floats(0, 1e9)
series = st.lists(seconds, max_size=20).map(tuple)
specs = st.builds(TransformerSpec, layers=st.integers(1, 99)) | st.builds(
    OnnxSpec,
    model=st.just(Path("models/m.onnx")),
    shapes=st.dictionaries(st.text(min_size=1), st.tuples(st.integers(1, 9))),
)
engines = st.builds(EngineSpec, provider=st.sampled_from(["auto", "cpu", "cuda"]), threads=st.integers(0, 512))
commands = st.one_of(
    st.builds(Load, spec=specs, engine=engines),
    st.builds(Prepare, parameters=st.dictionaries(st.text(), counts | st.text() | seconds | st.booleans())),
    st.builds(Measure, phase=st.text(), seconds=seconds, iterations=counts),
    st.just(Stop()),
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
    st.just(Prepared()),
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
def test_a_command_is_one_line_and_comes_back_from_it(command):
    line = encode(command)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_command(line) == command


@given(replies)
def test_a_reply_is_one_line_and_comes_back_from_it(reply):
    line = encode(reply)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert decode_reply(line) == reply


def test_the_lines_read_as_they_are_documented():
    assert json.loads(encode(Prepare({"batch": 4}))) == {"do": "prepare", "parameters": {"batch": 4}}
    assert json.loads(encode(Measure("prefill", 2.0, 10))) == {
        "do": "measure",
        "phase": "prefill",
        "seconds": 2.0,
        "iterations": 10,
    }
    assert json.loads(encode(Stop())) == {"do": "stop"}
    assert json.loads(encode(Prepared())) == {"reply": "prepared"}


def test_a_whole_number_of_seconds_may_come_without_a_point():
    assert decode_command(b'{"do":"measure","phase":"decode","seconds":2,"iterations":1}').seconds == 2.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "JSON is malformed"),
        (b'{"x":' + b"[" * 100_000, "JSON is malformed: maximum recursion depth exceeded"),
        (b"[]", "Expected `object`, got `array`"),
        (b"{}", "missing required field `do`"),
        (b'{"do":"run"}', "Invalid value 'run' - at `$.do`"),
        (b'{"do":"prepare"}', "missing required field `parameters`"),
        (b'{"do":"prepare","batch":1,"size":2}', "unknown field `batch`"),
        (b'{"do":"prepare","parameters":1}', "Expected `object`, got `int` - at `$.parameters`"),
        (
            b'{"do":"prepare","parameters":{"batch":[1]}}',
            "Expected `bool | int | float | str`, got `array` - at `$.parameters[...]`",
        ),
        (
            b'{"do":"prepare","parameters":{"batch":null}}',
            "Expected `bool | int | float | str`, got `null` - at `$.parameters[...]`",
        ),
        (
            b'{"do":"measure","phase":"decode","seconds":1,"iterations":"1"}',
            "Expected `int`, got `str` - at `$.iterations`",
        ),
        (
            b'{"do":"measure","phase":"decode","seconds":1,"iterations":1.0}',
            "Expected `int`, got `float` - at `$.iterations`",
        ),
        (
            b'{"do":"measure","phase":"decode","seconds":1,"iterations":true}',
            "Expected `int`, got `bool` - at `$.iterations`",
        ),
        (b'{"do":"measure","phase":"x","seconds":NaN,"iterations":1}', "JSON is malformed"),
        (b'{"do":"measure","phase":"x","seconds":1e999,"iterations":1}', "Number out of range - at `$.seconds`"),
        (b'{"do":"load","spec":{"workload":"cnn"},"engine":{}}', "Invalid value 'cnn' - at `$.spec.workload`"),
        (b'{"do":"load","spec":7,"engine":{}}', "Expected `object`, got `int` - at `$.spec`"),
        (
            b'{"do":"load","spec":{"workload":"onnx","model":"m","seed":0,"shapes":{"x":[1,"a"]},"inputs":{},"batch":1},"engine":{}}',
            "Expected `int`, got `str` - at `$.spec.shapes[...][1]`",
        ),
        (
            b'{"do":"load","spec":{"workload":"onnx"},"engine":{}}',
            "missing required field `model` - at `$.spec`",
        ),
        (
            encode(Load(TransformerSpec(), EngineSpec())).replace(b'"provider":"auto"', b'"provider":"tpu"'),
            "Invalid enum value 'tpu' - at `$.engine.provider`",
        ),
    ],
)
def test_a_line_that_is_no_command_is_refused_with_the_place_of_the_misfit(line, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        decode_command(line)


def test_a_spec_that_breaks_its_own_rules_is_refused_in_its_own_words():
    line = encode(Load(TransformerSpec(), EngineSpec())).replace(b'"width":256', b'"width":250')
    with pytest.raises(ValueError, match="--width 250 is not an even multiple of --heads 4"):
        decode_command(line)


def test_nothing_that_json_cannot_say_is_sent():
    with pytest.raises(ValueError, match="JSON compliant"):
        encode(Measure("prefill", float("nan"), 1))
