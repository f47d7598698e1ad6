"""The rows of points: their values, their digests, and their life beside the profile."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import asdict

import pytest
from sqlalchemy import select

from profile_documents import example
from store import schema
from store.maintenance.integrity import check
from store.model_name import model_name
from store.profile_point import PROFILE_POINT_COLUMNS
from store.profile_points import hardware_of, points_of, points_of_text
from store.records import Profile, Run, RunStatus
from store.writer import Writer
from trees import FIXTURES
from viewed_profiles import DOCUMENTS

CREATED_NS = 1_795_726_753 * 10**9
FIGURES = [
    ("joules_per_unit", ("energy", "joules_per_output_token")),
    ("output_tokens_per_second", ("output_tokens_per_second",)),
    ("inferences_per_second", ("inferences_per_second",)),
    ("watts", ("power", "mean_watts")),
]


def changed(*path_and_value, document=None):
    """Return the example with one changed value, given as the names on the way to it."""
    found = copy.deepcopy(document or example())
    *path, last, value = path_and_value
    place = found
    for name in path:
        place = place[name]
    place[last] = value
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=["transformer", "serving"])
def test_a_row_has_the_figures_of_its_point(document):
    rows = points_of(document, "uid", CREATED_NS)
    assert len(rows) == len(document["points"])
    for row, point in zip(rows, document["points"], strict=True):
        for name, path in FIGURES:
            value = point
            for each in path:
                value = value[each]
            assert [getattr(row, f"{name}{end}") for end in ("", "_lower", "_upper")] == [
                value[end] for end in ("mean", "lower", "upper")
            ]
        parts = point["cost"]["allocation"]["per_million_output_tokens"]
        total = parts["energy"]["mean"] + parts["capital"]["mean"]
        assert row.cost_per_million_units == pytest.approx(total)
        assert row.cost_per_million_units_upper == pytest.approx(parts["energy"]["upper"] + parts["capital"]["upper"])
        assert (row.cost_basis, row.currency) == ("allocation", point["cost"]["currency"])
        assert (row.profile_id, row.created_ns, row.unit) == ("uid", CREATED_NS, "output token")
        assert (row.date, row.month) == ("2026-11-26", "2026-11")
        assert json.loads(row.parameters) == point["parameters"]
        assert (row.point, row.valid, row.repeats) == (point["name"], point["valid"], point["repeats"])
        assert (row.boundary, row.energy_source) == (document["coverage"]["boundary"], document["coverage"]["source"])


def test_a_row_has_the_labels_of_the_host():
    labels = {"site": "ams1", "rack": "r12", "owner": "search", "room": "3"}
    [row, *_] = points_of(changed("host", "labels", labels), "uid", CREATED_NS)
    assert (row.site, row.rack, row.owner) == ("ams1", "r12", "search")
    [row, *_] = points_of(example(), "uid", CREATED_NS)
    assert (row.site, row.rack, row.owner) == ("", "", "")


@pytest.mark.parametrize(
    ("allocation", "usage", "expected"),
    [
        ((1.0, 2.0), (9.0, 9.0), ("allocation", 3.0)),
        (None, (1.0, 2.0), ("usage", 3.0)),
        (None, (1.0, None), ("usage, energy alone", 1.0)),
        (None, (None, 2.0), ("usage, capital alone", 2.0)),
        (None, (None, None), ("", None)),
    ],
)
def test_a_cost_names_its_basis_and_its_only_part(allocation, usage, expected):
    def basis(parts):
        amounts = [each and {"mean": each, "lower": None, "upper": each} for each in parts]
        cost = dict(zip(("energy", "capital"), amounts, strict=True))
        return {"per_inference": cost, "per_million_output_tokens": cost}

    cost = {"currency": "EUR", "allocation": allocation and basis(allocation), "usage": basis(usage)}
    document = example()
    document["points"][0]["cost"] = cost
    row = points_of(document, "uid", CREATED_NS)[0]
    assert (row.cost_basis, row.cost_per_million_units) == expected
    assert row.cost_per_million_units_lower is None


def test_a_point_without_prices_or_energy_has_no_costs_and_no_joules():
    document = example()
    document["points"][0] |= {"cost": None, "energy": None, "power": None, "valid": False}
    row = asdict(points_of(document, "uid", CREATED_NS)[0])
    unknown = [name for name in row if name.startswith(("cost_per", "joules", "watts"))]
    assert len(unknown) == 9
    assert {row[name] for name in unknown} == {None}
    assert (row["currency"], row["cost_basis"], row["valid"]) == ("", "", False)


@pytest.mark.parametrize(
    "change",
    [
        ("host", "id", "another"),
        ("host", "name", "another"),
        ("host", "labels", {"site": "b"}),
        ("created", "2027-01-01T00:00:00+00:00"),
        ("host_state", "before", None),
        ("workload", "settings", "seed", 7),
    ],
)
def test_siblings_have_one_setup(change):
    assert [each.setup for each in points_of(changed(*change), "x", 1)] == [
        each.setup for each in points_of(example(), "y", 2)
    ]


@pytest.mark.parametrize(
    "change",
    [
        ("host", "cpu_model", "another CPU"),
        ("host", "logical_cpus", 64),
        ("engine", "version", "9"),
        ("engine", "threads", 3),
        ("coverage", "boundary", "components"),
        ("coverage", "source", "measured"),
        ("coverage", "includes", []),
        ("workload", "settings", "prompt_tokens", 7),
        ("workload", "precision", "int8"),
        ("workload", "parameter_count", 9_000_000),
    ],
)
def test_another_machine_engine_sensor_or_work_is_another_setup(change):
    rows, others = points_of(changed(*change), "x", 1), points_of(example(), "x", 1)
    assert not {each.setup for each in rows} & {each.setup for each in others}
    same_work = change[0] in {"host", "engine", "coverage"}
    assert ([each.work for each in rows] == [each.work for each in others]) is same_work


def test_a_point_without_tokens_has_the_figures_of_an_inference_and_is_other_work():
    document = example()
    with_tokens = points_of(document, "uid", CREATED_NS)[0]
    point = document["points"][0]
    point["output_tokens_per_second"] = None
    row = points_of(document, "uid", CREATED_NS)[0]
    total = point["energy"]["joules_per_inference"]["total"]
    assert (row.unit, row.joules_per_unit, row.joules_per_unit_upper) == ("inference", total["mean"], total["upper"])
    parts = point["cost"]["allocation"]["per_inference"]
    lower = 1e6 * (parts["energy"]["lower"] + parts["capital"]["lower"])
    assert row.cost_per_million_units_lower == pytest.approx(lower)
    assert row.work != with_tokens.work


def test_tokens_without_an_energy_of_their_own_have_none():
    document = example()
    document["points"][0]["energy"]["joules_per_output_token"] = None
    row = points_of(document, "uid", CREATED_NS)[0]
    assert (row.unit, row.joules_per_unit, row.joules_per_unit_upper) == ("output token", None, None)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e200, 10**400])
def test_a_number_that_no_sum_can_hold_is_unknown(number):
    document = example()
    document["points"][0]["energy"]["joules_per_output_token"]["mean"] = number
    document["points"][0]["power"]["mean_watts"]["upper"] = number
    row = points_of_text("uid", CREATED_NS, json.dumps(document))[0]
    assert (row.joules_per_unit, row.watts_upper) == (None, None)
    assert row.watts > 0


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("engine", "version", "9"), True),
        (("engine", "threads", 3), True),
        (("host", "logical_cpus", 64), False),
        (("engine", "name", "another"), False),
        (("coverage", "boundary", "components"), False),
        (("coverage", "source", "measured"), False),
        (("points", 0, "cost", "currency", "USD"), False),
        (("points", 0, "cost", "allocation", None), False),
        (("workload", "precision", "int8"), False),
    ],
)
def test_a_cost_group_has_figures_of_which_a_mean_has_a_meaning(change, same):
    row, other = points_of(changed(*change), "x", 1)[0], points_of(example(), "x", 1)[0]
    assert (row.cost_group == other.cost_group) is same


def test_a_swept_parameter_and_a_setting_of_that_value_are_the_same_work():
    swept = points_of(example(), "x", 1)[0]
    document = example()
    fixed = {name: value for name, value in document["points"][0].items() if name != "parameters"}
    document["points"] = [{**fixed, "parameters": {}}]
    document["workload"]["settings"] |= {"batch": 1}
    assert points_of(document, "x", 1)[0].work == swept.work


def test_hardware_counts_processors_and_accelerators():
    devices = [
        *({"id": f"package-{n}", "kind": "cpu", "name": None} for n in range(2)),
        *({"id": f"GPU-{n}", "kind": "gpu", "name": "NVIDIA H100"} for n in range(8)),
        {"id": "npu", "kind": "npu", "name": "An NPU"},
        {"id": "psu", "kind": "psu", "name": "A supply"},
        {"id": "GPU-x", "kind": "gpu", "name": None},
    ]
    host = {"cpu_model": "AMD EPYC 9654", "virtual": False, "logical_cpus": 384}
    found = hardware_of({"host": host, "devices": devices})
    assert found == "2x AMD EPYC 9654 + 8x NVIDIA H100 + 1x An NPU"
    guest = hardware_of({"host": {**host, "virtual": True}, "devices": devices[:1]})
    assert guest == "384 virtual CPUs of AMD EPYC 9654"
    unnamed = {"cpu_model": None, "virtual": True, "logical_cpus": None}
    assert hardware_of({"host": unnamed, "devices": []}) == "? virtual CPUs of unknown processor"
    named = [{"id": "package-0", "kind": "cpu", "name": "A CPU"}]
    assert hardware_of({"host": {**unnamed, "virtual": False}, "devices": named}) == "1x A CPU"
    many = [{"id": str(n), "kind": "gpu", "name": f"GPU of the kind {n}"} for n in range(50)]
    assert len(hardware_of({"host": host, "devices": many})) == 200


def test_a_model_is_named_by_its_file_or_by_its_weights():
    assert model_name("onnx", "/srv/models/a.onnx", 7) == "a.onnx"
    assert model_name("transformer", None, 7_997_696) == "transformer of 8 M weights"
    assert model_name("gemm", None, None) == "gemm"


def test_a_text_that_is_no_profile_of_schema_2_has_no_points():
    old = (FIXTURES / "profiles/1.1.json").read_text(encoding="utf-8")
    for text in (old, "[]]", "{}", "[]", "null", '{"schema_version": "2.0"}', '{"schema_version": 2}', "[" * 100_000):
        assert points_of_text("x", 1, text) == ()


@pytest.mark.parametrize("version", ["2.0", "2.1", "2.2", "2.3", "2.4"])
def test_older_documents_of_schema_2_have_points(version):
    document = json.loads((FIXTURES / f"profiles/{version}.json").read_text(encoding="utf-8"))
    rows = points_of(document, "x", 1)
    assert [each.point for each in rows] == [each["name"] for each in document["points"]]
    assert {each.schema_version for each in rows} == {version}


def stored(engine):
    with engine.connect() as connection:
        columns = [schema.profile_points.c[name] for name in PROFILE_POINT_COLUMNS]
        rows = connection.execute(select(*columns).order_by(schema.profile_points.c.id)).all()
    return [tuple(row) for row in rows]


def save(engine, host, document, name="p"):
    writer = Writer(engine)
    writer.register(host, [], "profile", 1)
    writer.save_run(Run(name, host.id, writer.recording, "w", "{}", RunStatus.COMPLETE, 1, 2))
    writer.save_profile(Profile(name, name, CREATED_NS, "transformer", json.dumps(document)))
    return writer


def test_points_are_stored_with_their_profile_replaced_with_it_and_deleted_with_it(engine, host):
    writer = save(engine, host, example())
    rows = [tuple(asdict(each).values()) for each in points_of(example(), "p", CREATED_NS)]
    assert stored(engine) == rows
    assert check(engine) == ()
    writer.save_profile(Profile("p", "p", CREATED_NS, "transformer", json.dumps(changed("host", "name", "new"))))
    assert [row[2] for row in stored(engine)] == ["new"] * len(rows)
    assert writer.tag_profile("p", "best")
    assert len(stored(engine)) == len(rows)
    assert writer.delete_profile("p")
    assert stored(engine) == []


def test_a_damaged_point_is_found_by_a_check(engine, host):
    save(engine, host, example())
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE profile_points SET watts = watts + 1 WHERE id = 1")
    assert check(engine) == ("Point 1: its checksum is wrong",)


@pytest.mark.parametrize("number", [(1 << 53) + 1, 7])
def test_a_whole_number_is_a_float_in_a_row(number):
    [row, *_] = points_of(changed("points", 0, "output_tokens_per_second", "upper", number), "uid", CREATED_NS)
    assert isinstance(row.output_tokens_per_second_upper, float)
    assert row.output_tokens_per_second_upper == float(number)
