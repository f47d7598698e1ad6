"""Nothing that names a host, a user, a device, a path or a process is in the bytes of an anonymized file."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pyarrow import parquet

from agent.bundles.anonymize import _DEVICES, _POINTS, _SAFE, Anonymizer, _present
from agent.cost.offers import Offer
from agent.profiling.document.codec import check
from agent.profiling.records import Document
from agent.profiling.tool_records import ToolReport
from bundled import SECONDS, START_NS, files_of, store_run
from command import ROOT, call
from probes.model import Device, Kind
from published_schema import validate
from stored import SECOND_NS

if TYPE_CHECKING:
    from pathlib import Path

MARKERS = {
    "host name": "zz-hostname-zz",
    "host id": "zzhostidzz4b29292b41b5",
    "boot id": "b00t1dzz-41b5-46a3-b567-94e7303b6e7f",
    "serial": "zzserial1652922001234",
    "label": "zz-site-zz",
    "name of a label": "zz_room",
    "gpu uuid": "GPU-zz4f0c1a-aaaa-bbbb-cccc-1234567890ab",
    "mig uuid": "MIG-zz9f0c1a-aaaa-bbbb-cccc-1234567890ab",
    "pci address": "00000000:65:00.0",
    "argv": "--zzsecret-flag=zzvalue",
    "url": "http://zz-user:zzpass@zz-inference.example.com:8000/v1",
    "model path": "/srv/zz-models/zzprivate.gguf",
    "user path": "/home/zzalice/prompts.jsonl",
    "process": "zz-postgres-worker",
    "file": "zzresult.json",
    "input": "zz/inner:0",
    "address": "10.77.66.55",
    "person": "zzalice@example.com",
    "run id": "20260131-083000-zz77",
}


def marked() -> dict[str, Any]:
    """Return a document of the present schema with a marker wherever a run can write a name."""
    every = MARKERS
    document: dict[str, Any] = json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8"))
    texts = list(every.values())
    device = {"id": every["gpu uuid"], "kind": "gpu", "name": f"NVIDIA H100 {every['serial']}", "sensors": []}
    attributes = {"serial": every["serial"], "pci_address": every["pci address"], "driver": every["process"]}
    odd = {
        "id": every["pci address"],
        "kind": "accelerator",
        "name": "Card 9",
        "attributes": {"a" + every["person"]: "1"},
    }
    document |= {"id": every["run id"], "notes": texts}
    document["host"] |= {"labels": {"site": every["label"], every["name of a label"]: "one"}}
    document["host"] |= {"id": every["host id"], "name": every["host name"], "boot_id": every["boot id"]}
    document["host"] |= {"operating_system": f"Linux of {every['host name']}", "cpu_flags": ["avx", every["user path"]]}
    document["engine"] |= {"name": every["url"], "version": every["argv"], "provider": every["process"]}
    document["workload"] |= {"name": "endpoint", "precision": every["model path"]}
    document["workload"]["settings"] |= {
        "url": every["url"],
        "model": every["model path"],
        "prompts": every["user path"],
        "server_command": every["argv"],
        "argv": [every["process"], every["argv"], every["model path"]],
        "api": every["address"],
        every["user path"]: 1,
    }
    document["workload"]["inputs"] = [
        {"name": every["input"], "element": "f", "shape": [1], "values": "given", "sha256": "0" * 64}
    ]
    document["devices"] += [{**device, "attributes": attributes}, {**odd, "sensors": []}]
    document["coverage"]["includes"] = [{"device": every["gpu uuid"], "domain": "board"}]
    document["coverage"]["not_covered"] = ["memory", f"{every['gpu uuid']}/board (a duplicate)", every["mig uuid"]]
    document["plan"] |= {"limiting_sensor": f"{every['gpu uuid']}/board", "sweep": {"prompts": [every["user path"], 1]}}
    document["sampler"] |= {"limitation": every["process"], "faults": texts, "policy": every["process"]}
    document["host_state"]["before"] = {
        **document["host_state"]["after"],
        "cpu_governors": [every["process"], "performance"],
        "power_limits_watts": {every["user path"]: 100.0, "intel-rapl:0 long_term": 120.0},
    }
    document["sustainable_rate"] = {
        "level": {"attainment": 0.99, "ttft_seconds": 1.0, "tpot_seconds": None, "e2e_seconds": None},
        "highest_met": 1.0,
        "lowest_missed": 2.0,
        "point": f"prompts={every['user path']}",
        "trials": [
            {
                "requests_per_second": 1.0,
                "outcome": "met",
                "requests": 1,
                "attained": 1.0,
                "attained_lower": 0.9,
                "reason": every["url"],
            }
        ],
    }
    offer = dict.fromkeys(Offer.__struct_fields__)
    document["tariff"] |= {
        "site": every["host name"],
        "measured": ["utilization"],
        "ranges": [{"name": "utilization", "low": 0.1, "high": 0.5}],
        "offers": [
            {
                **offer,
                "name": every["person"],
                "price_per_hour": 2.0,
                "requests_per_second": 4.0,
                "region": every["user path"],
                "certifications": ["ISO 27001", every["url"]],
                "source": every["url"],
            }
        ],
    }
    for point in document["points"][:1]:
        point |= {"name": f"prompts={every['user path']}", "parameters": {"prompts": every["user path"]}}
        point["serving"]["errors"] = {every["url"]: 1, "timeout": 2, every["process"]: 3}
        point["serving"]["finish_reasons"] = {every["person"]: 1}
        point["reported"] = [
            {
                "tool": every["process"],
                "version": every["argv"],
                "file": every["file"],
                "started": "2026-01-31T08:30:17Z",
                "duration_seconds": 1.0,
                "start_uncertainty_seconds": 0.0,
                "figures": {every["url"]: dict.fromkeys(("mean", "p50", "p90", "p95", "p99"))},
            }
        ]
        sensor = point["energy"]["sensors"][0]
        sensor |= {"device": every["mig uuid"], "domain": every["url"], "method": every["argv"]}
        point["conditions"]["gpus"] = [
            {
                "device": every["gpu uuid"],
                **dict.fromkeys(("self_share", "other_share", "max_other_share")),
                "other_processes": 2,
            }
        ]
        point["checks"] = [{**each, "message": text} for each, text in zip(point["checks"], texts, strict=False)]
        point["cost"]["missing"] = [{"name": every["process"], "effect": every["url"]}]
        point["cost"]["assumed"] = [{"name": "pue", "value": 1.5, "source": every["url"]}]
    return document


def assert_absent(content: bytes) -> None:
    lowered = content.lower()
    assert {name for name, marker in MARKERS.items() if marker.lower().encode() in lowered} == set()
    assert content.startswith((b"PK", b"PAR1")) or b"zz" not in lowered


def test_no_marker_is_in_an_anonymized_document() -> None:
    document = Anonymizer(marked()).document()
    assert document["host_state"]["before"]["power_limits_watts"] == {"intel-rapl:0 long_term": 120.0, "removed": 100.0}
    assert document["tariff"]["ranges"] == [{"name": "utilization", "low": 0.1, "high": 0.5}]
    assert document["tariff"]["offers"][0]["certifications"] == ["ISO 27001", "removed"]
    assert document["points"][0]["serving"]["errors"] == {"removed": 4, "timeout": 2}
    check(document)
    validate(document)
    assert_absent(json.dumps(document, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("device", "domain"),
    [(Device(MARKERS["gpu uuid"], Kind.GPU), "board"), (Device(MARKERS["mig uuid"], Kind.GPU), MARKERS["user path"])],
)
def test_no_marker_is_in_the_bytes_of_an_anonymized_bundle(tmp_path: Path, device: Device, domain: str) -> None:
    store_run(tmp_path, marked(), device, domain)
    done = call(tmp_path, "profiles", "export", "latest", "--bundle", "--anonymize", "-o", "zz.zip")
    assert done.returncode == 0, done.stderr
    files = files_of(tmp_path / "zz.zip")
    assert_absent((tmp_path / "zz.zip").read_bytes())
    for content in files.values():
        assert_absent(content)
    table = parquet.read_table(BytesIO(files["samples.parquet"]))
    assert_absent(json.dumps(table.to_pylist(), default=str).encode())
    assert set(table["device"].to_pylist()) <= {"gpu-0", "host-0"}
    assert call(tmp_path, "profiles", "import", "zz.zip").returncode == 0
    assert call(tmp_path, "profiles", "show", "anonymous").returncode == 0
    assert json.loads(files["manifest.json"])["anonymized"] is True


def test_a_trace_has_one_value_a_minute(tmp_path: Path) -> None:
    store_run(tmp_path, marked())
    call(tmp_path, "profiles", "export", "latest", "--bundle", "--anonymize", "-o", "zz.zip")
    files = files_of(tmp_path / "zz.zip")
    manifest = json.loads(files["manifest.json"])
    rows = parquet.read_table(BytesIO(files["samples.parquet"])).to_pylist()
    minute = 60 * SECOND_NS
    first, last = START_NS // minute * minute, (START_NS + SECONDS * SECOND_NS) // minute * minute
    assert (manifest["started_ns"], manifest["ended_ns"]) == (first, last + minute)
    times = [row["time_ns"] for row in rows if row["metric"] == "power_watts"]
    assert times == list(range(first, last + 1, minute))
    watts = [row["value"] for row in rows if row["metric"] == "power_watts"]
    in_first = (first + minute - START_NS) // SECOND_NS  # the seconds from the start, with 0, 1, 2 ... watts
    assert watts[0] == pytest.approx((in_first - 1) / 2)
    joules = [row["value"] for row in rows if row["metric"] == "energy_joules"]
    assert joules[0] == pytest.approx(10.0 * (in_first - 1))  # from the first sample on, not the count of the counter
    assert joules[-1] == pytest.approx(10.0 * SECONDS)


def test_numbers_and_words_of_the_field_stay() -> None:
    original = json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8"))
    document = Anonymizer(original).document()
    assert document["host"]["cpu_model"] == original["host"]["cpu_model"]
    assert document["host"]["operating_system"] == original["host"]["operating_system"]
    assert original["engine"].items() <= document["engine"].items()
    assert document["workload"]["settings"]["model"] == original["workload"]["settings"]["model"]
    assert document["coverage"] == original["coverage"]
    assert document["devices"] == original["devices"]
    for point, before in zip(document["points"], original["points"], strict=True):
        checks = [{**each, "message": each["name"].replace("_", " ")} for each in before["checks"]]
        assert point == {**before, "checks": checks}
    assert document["created"] == f"{original['created'][:16]}:00+00:00"


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("/srv/models/mine", "removed"),
        ("~/mine", "removed"),
        ("../mine", "removed"),
        ("a/b/c", "removed"),
        ("C:\\models\\mine", "removed"),
        ("https://host/model", "removed"),
        ("private/mine.ONNX", "model.onnx"),
        ("mine.gguf", "model.gguf"),
    ],
)
def test_the_name_of_a_model_stays_and_its_path_does_not(model: str, shown: str) -> None:
    document = json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8"))
    document["points"] = []
    document["workload"]["settings"]["model"] = model
    assert Anonymizer(document).document()["workload"]["settings"]["model"] == shown


def test_offers_keep_their_prices_and_have_new_names() -> None:
    document = json.loads((ROOT / "docs/serving.example.json").read_text(encoding="utf-8"))
    prices = {"price_per_million_output_tokens": 0.6, "price_per_million_input_tokens": 0.1}
    named = [{"name": name, "source": MARKERS["url"], "region": "EU", **prices} for name in MARKERS.values()]
    document["tariff"]["offers"] = named
    anonymous = Anonymizer(document).document()
    assert_absent(json.dumps(anonymous).encode())
    offers = anonymous["tariff"]["offers"]
    assert [each["name"] for each in offers] == [f"offer-{number}" for number in range(1, len(named) + 1)]
    assert {each["price_per_million_output_tokens"] for each in offers} == {0.6}


def test_the_same_profile_has_the_same_anonymous_id_and_another_one_does_not() -> None:
    one, other = marked(), marked()
    other["points"][0]["repeats"] += 1
    ids = [Anonymizer(document).document()["id"] for document in (one, one, other)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].startswith("anonymous-")


def test_every_listed_field_exists() -> None:
    parts = msgspec.json.schema_components([Document, ToolReport])[1]
    fields = {f"{record}.{name}" for record, part in parts.items() for name in part.get("properties", ())}
    assert (_SAFE | _DEVICES | _POINTS) - fields == set()


def test_the_id_of_an_anonymized_profile_outlives_fields_that_a_later_schema_adds() -> None:
    document: dict[str, Any] = json.loads((ROOT / "docs/profile.example.json").read_text(encoding="utf-8"))
    uid = Anonymizer(document).document()["id"]
    assert Anonymizer({**document, "schema_version": "2.99"}).document()["id"] == uid
    assert _present({"a": 1, "later": None, "more": {"empty": [], "figure": 0.0}}) == {"a": 1, "more": {"figure": 0.0}}
    figure = document["points"][0]["inferences_per_second"]
    figure["mean"] = figure["upper"]
    assert Anonymizer(document).document()["id"] != uid
