from __future__ import annotations

import json
import math

import msgspec
import pytest
import yaml

from agent.exports.aiconfigurator import EXPORTER
from agent.exports.records import ExportError, ExportRequest
from agent.profiling.records import Document
from agent.workloads.transformer.spec import TransformerSpec
from command import ROOT
from probes.model import Kind

EXAMPLE = msgspec.convert(json.loads((ROOT / "docs/profile.example.json").read_text()), Document)
LARGE = {"precision": "fp16", "layers": 16, "width": 1536, "heads": 12, "kv_heads": 12, "head_width": 128}
"""1.1 GB of weights."""


def generated(document=EXAMPLE, **settings):
    facts = msgspec.structs.replace(document.workload, settings={**document.workload.settings, **settings})
    return msgspec.structs.replace(document, workload=facts)


def system(*documents, **facts):
    ((name, content),) = EXPORTER.files(ExportRequest(documents, facts)).files.items()
    return name, yaml.safe_load(content), content.decode()


def refusal(*documents, **facts):
    with pytest.raises(ExportError) as refused:
        system(*documents, **facts)
    return refused.value


def test_bandwidth_is_the_weights_over_the_shortest_step():
    model = TransformerSpec(precision="fp16", layers=16, width=1536, heads=12)
    steps = [point.inter_token_latency_seconds.mean for point in EXAMPLE.points]
    _, found, _ = system(generated(**LARGE))
    assert found["gpu"]["mem_bw"] == pytest.approx(model.step_bytes() / min(steps), rel=1e-6)
    assert found["gpu"]["mem_bw_empirical_scaling_factor"] == 1.0


def test_operations_are_those_of_the_fastest_prefill():
    rates = []
    for point in EXAMPLE.points:
        (prefill,) = (phase for phase in point.phases if phase.phase == "prefill")
        model = TransformerSpec(**LARGE)
        rates.append(model.prompt_operations() * prefill.inferences / prefill.duration_seconds)
    _, found, _ = system(generated(**LARGE))
    assert found["gpu"]["bfloat16_tc_flops"] == pytest.approx(max(rates), rel=1e-6)
    assert "float32_tc_flops" not in found["gpu"]


def test_system_is_one_device_whose_links_are_not_numbers():
    name, found, _ = system(generated(**LARGE))
    assert name == f"{found['data_dir'].removeprefix('data/')}.yaml"
    assert found["node"]["num_gpus_per_node"] == 1
    assert math.isnan(found["node"]["intra_node_bw"])
    assert found["misc"]["nccl_mem"] == {1: 0}
    assert found["gpu"]["mem_capacity"] == EXAMPLE.host.memory_bytes


def test_power_is_that_of_the_processors_and_labeled_as_estimated():
    _, found, text = system(generated(**LARGE))
    watts = [
        point.energy.joules_per_inference.total.mean * point.inferences_per_second.mean for point in EXAMPLE.points
    ]
    assert found["gpu"]["power"] == pytest.approx(max(watts), abs=0.06)
    assert "watts, estimated" in text


def test_accelerator_needs_its_memory_and_the_busiest_one_gives_the_power():
    def on_gpus(point):
        (sensor,) = (each for each in point.energy.sensors if each.in_total)
        total = sensor.joules_per_inference.total
        idle = msgspec.structs.replace(total, mean=total.mean / 10)
        sensors = tuple(
            msgspec.structs.replace(
                sensor,
                device=device,
                kind="gpu",
                joules_per_inference=msgspec.structs.replace(sensor.joules_per_inference, total=joules),
            )
            for device, joules in (("GPU-a", total), ("GPU-b", idle))
        )
        return msgspec.structs.replace(point, energy=msgspec.structs.replace(point.energy, sensors=sensors))

    device = msgspec.structs.replace(EXAMPLE.devices[1], id="GPU-a", kind=Kind.GPU, name="NVIDIA H100: 80 GB\n#")
    document = msgspec.structs.replace(
        generated(**LARGE),
        devices=(device,),
        engine=msgspec.structs.replace(EXAMPLE.engine, provider="cuda"),
        points=tuple(map(on_gpus, EXAMPLE.points)),
    )
    assert refusal(document).missing == ("the memory of one device: --set memory_gb=GIB",)
    name, found, _ = system(document, memory_gb="80", sm_version="90")
    assert name == "nvidia_h100_80_gb.yaml"
    assert (found["gpu"]["mem_capacity"], found["gpu"]["sm_version"]) == (80 << 30, 90)
    watts = [
        point.energy.joules_per_inference.total.mean * point.inferences_per_second.mean for point in EXAMPLE.points
    ]
    assert found["gpu"]["power"] == pytest.approx(max(watts), abs=0.06)


def test_weights_that_fit_in_a_cache_or_another_precision_are_refused_with_the_command():
    refused = refusal(EXAMPLE)
    assert [each.split(":")[0] for each in refused.missing] == [
        "the bandwidth of the memory",
        "the FLOP/s with 16 bits",
    ]
    assert refused.command.startswith("inferometer profile transformer --precision fp16")


def test_command_of_the_refusal_measures_enough():
    words = refusal(EXAMPLE).command.split()
    model = TransformerSpec(
        precision="fp16",
        layers=int(words[words.index("--layers") + 1]),
        width=int(words[words.index("--width") + 1]),
        heads=int(words[words.index("--heads") + 1]),
    )
    assert model.step_bytes() >= 1 << 30


def test_point_without_energy_is_refused():
    points = tuple(msgspec.structs.replace(point, energy=None) for point in EXAMPLE.points)
    refused = refusal(msgspec.structs.replace(generated(**LARGE), points=points))
    assert [each[:24] for each in refused.missing] == ["the power of the device "]


def test_point_that_a_check_made_invalid_does_not_count():
    first, *others = EXAMPLE.points
    doubtful = [msgspec.structs.replace(point, valid=False, energy=None) for point in others]
    document = msgspec.structs.replace(generated(**LARGE), points=(first, *doubtful))
    assert system(document)[1] == system(msgspec.structs.replace(document, points=(first,)))[1]
    assert refusal(msgspec.structs.replace(document, points=tuple(doubtful)))


def test_profile_of_a_server_is_refused():
    assert refusal(
        msgspec.structs.replace(EXAMPLE, workload=msgspec.structs.replace(EXAMPLE.workload, name="endpoint"))
    )


def test_profiles_of_several_machines_are_refused():
    other = msgspec.structs.replace(EXAMPLE, host=msgspec.structs.replace(EXAMPLE.host, name="other"))
    assert "profiles of one machine" in refusal(generated(**LARGE), generated(other, **LARGE)).missing[0]


def test_names_that_are_no_names_of_a_system_are_refused_and_foreign_ones_stay_in_their_comment():
    assert "a name of a-z" in refusal(generated(**LARGE), system="A/../b").missing[0]
    host = msgspec.structs.replace(EXAMPLE.host, cpu_model="x\ngpu: {mem_bw: 1}\u2028y")
    name, found, _ = system(generated(msgspec.structs.replace(EXAMPLE, host=host), **LARGE))
    assert name == "x_gpu_mem_bw_1_y.yaml"
    assert found["gpu"]["mem_bw"] > 1
