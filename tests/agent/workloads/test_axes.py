"""From given options to the spec of a run and its points, by the declarations of the fields."""

from __future__ import annotations

import re
from collections.abc import Mapping  # noqa: TC003  the declaration resolves the annotations
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest

from agent.workloads.axes import at_point, request
from agent.workloads.parameter import check_parameters, parameter, parameters_of, settings_of
from agent.workloads.point import point_name, points_of


def sizes(texts):
    return {name: tuple(map(int, several.split(","))) for name, several in (text.split("=") for text in texts)}


@dataclass(frozen=True, slots=True)
class ToySpec:
    batch: int = parameter(1, help="Requests.", least=1, most=64, sweep=(1, 4), in_every_point=True)
    tokens: int = parameter(8, help="Tokens.", least=1, most=99, sweep=(8,))
    precision: Literal["fp32", "int8"] = parameter("fp32", help="Precision.", sweep=("fp32",))
    dims: Mapping[str, int] = parameter(help="Sizes.", option="--dim", parse=sizes, names_axes=True)
    secret: str = parameter("x", help="A secret.", private=True)
    seed: int = parameter(0, help="Seed.", least=0)

    workload: ClassVar[str] = "toy"

    def __post_init__(self):
        check_parameters(self)

    @property
    def phases(self):
        return ("read", "write") if self.tokens > 1 else ("read",)


def shape_of(name):
    return {"layers": 3, "width": 5, "batch": (2, 3)} if name == "three" else {}


@dataclass(frozen=True, slots=True)
class FilledSpec:
    shape: str = parameter("", help="A shape.", fills=shape_of)
    batch: int = parameter(1, help="Requests.", least=1, most=64, sweep=(1, 4), in_every_point=True)
    layers: int = parameter(1, help="Layers.", least=1)
    width: int = parameter(1, help="Width.", least=1)

    phases = ("run",)


def test_a_given_value_fills_the_parameters_that_are_not_given():
    spec, axes = request(FilledSpec, {"shape": "three", "width": 7})
    assert (spec, axes) == (FilledSpec("three", 3, 3, 7), {"batch": (2, 3)})
    spec, axes = request(FilledSpec, {"shape": "three", "batch": (9,), "layers": 1, "width": 1})
    assert (spec, axes) == (FilledSpec("three", 9, 1, 1), {"batch": (9,)})
    assert request(FilledSpec, {}) == (FilledSpec("", 4), {"batch": (1, 4)})


def names(**given):
    _, axes = request(ToySpec, given)
    return [point_name(point) for point in points_of(axes)]


def test_without_options_the_default_sweep_is_measured():
    assert names() == ["batch=1", "batch=4"]


def test_one_value_of_a_parameter_is_part_of_no_point_unless_it_belongs_to_every_point():
    assert names(batch=(2,), tokens=(16,)) == ["batch=2"]


def test_lists_sweep_their_product_in_declared_order():
    assert names(precision=("int8", "fp32"), tokens=(16, 8), batch=(2,)) == [
        "batch=2 tokens=16 precision=int8",
        "batch=2 tokens=16 precision=fp32",
        "batch=2 tokens=8 precision=int8",
        "batch=2 tokens=8 precision=fp32",
    ]


def test_named_axes_are_part_of_every_point_and_replace_the_default_sweep_but_no_given_one():
    assert names(dims={"seq": (16, 32)}) == ["seq=16", "seq=32"]
    assert names(dims={"seq": (16,)}, batch=(2,)) == ["batch=2 seq=16"]
    assert names(dims={"batch": (2, 4)}) == ["batch=2", "batch=4"]


def test_a_named_axis_of_the_name_of_a_given_parameter_is_refused():
    with pytest.raises(ValueError, match="--batch and the dimension 'batch' name the same parameter: give one"):
        request(ToySpec, {"batch": (1,), "dims": {"batch": (2,)}})


def test_the_spec_of_a_run_has_room_for_every_point():
    spec, _ = request(ToySpec, {"tokens": (8, 64, 16), "dims": {"seq": (3, 5)}, "seed": 7})
    assert (spec.batch, spec.tokens, spec.dims, spec.seed) == (1, 64, {"seq": 5}, 7)
    assert request(ToySpec, {})[0].batch == 4


def test_the_spec_of_a_point_has_its_values():
    spec, _ = request(ToySpec, {"tokens": (8, 64), "dims": {"seq": (3, 5), "batch": (2,)}})
    assert at_point(spec, {"tokens": 8, "seq": 3, "batch": 2}) == ToySpec(tokens=8, dims={"seq": 3, "batch": 2})
    with pytest.raises(ValueError, match="unknown parameters: size"):
        at_point(spec, {"size": 3})


def test_points_of_different_phases_are_refused():
    with pytest.raises(ValueError, match=re.escape("different phases (read or read, write): profile them in separate")):
        request(ToySpec, {"tokens": (1, 8)})
    assert names(tokens=(1,), batch=(1,)) == ["batch=1"]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [("batch", "1, 8,1", (1, 8)), ("tokens", "99", (99,)), ("precision", "int8,fp32", ("int8", "fp32"))],
)
def test_a_list_is_read_by_the_type_of_its_parameter(name, text, values):
    [found] = (each for each in parameters_of(ToySpec) if each.name == name)
    assert found.parse_values(text) == values


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("batch", "1,65", "--batch: '1,65' is not a list of whole numbers from 1 to 64, such as 1,4"),
        ("batch", "0", "--batch: '0' is not a list"),
        ("batch", "", "--batch: '' is not a list"),
        ("batch", "1,,2", "--batch: '1,,2' is not a list"),
        ("batch", "٣", "is not a list of whole numbers"),
        ("batch", "1e3", "is not a list of whole numbers"),
        ("precision", "int8,fp64", "--precision: 'fp64' is not one of fp32, int8"),
    ],
)
def test_a_list_with_a_bad_value_is_refused_by_its_option(name, text, words):
    [found] = (each for each in parameters_of(ToySpec) if each.name == name)
    with pytest.raises(ValueError, match=re.escape(words)):
        found.parse_values(text)


def test_a_value_of_another_type_or_out_of_its_limits_is_refused():
    for values, words in (({"seed": "1"}, "--seed: '1' is not a whole"), ({"batch": 65}, "range: 1 to 64")):
        with pytest.raises(ValueError, match=words):
            ToySpec(**values)


def test_the_settings_in_a_profile_leave_out_points_and_private_values():
    assert settings_of(ToySpec(dims={"seq": 3}, secret="y")) == {"tokens": 8, "precision": "fp32", "seed": 0}


def letters(texts):
    return {text: text.upper() for text in texts}


@dataclass(frozen=True, slots=True)
class KeyedSpec:
    file: Mapping[str, str] = parameter(help="Files.", parse=letters, keys_are_axis=True)
    batch: int = parameter(1, help="Requests.", least=1, most=64, sweep=(1,), in_every_point=True)

    workload: ClassVar[str] = "keyed"
    phases: ClassVar[tuple[str, ...]] = ("read",)


def test_several_keys_of_a_mapping_are_values_of_an_axis_and_a_point_has_one_of_them():
    spec, axes = request(KeyedSpec, {"file": letters(["a", "b"])})
    assert [point_name(point) for point in points_of(axes)] == ["file=a batch=1", "file=b batch=1"]
    assert at_point(spec, {"file": "b", "batch": 1}).file == {"b": "B"}


def test_one_key_of_a_mapping_is_part_of_no_point():
    spec, axes = request(KeyedSpec, {"file": letters(["a"])})
    assert list(axes) == ["batch"]
    assert at_point(spec, {"batch": 1}).file == {"a": "A"}


def test_a_point_with_an_unknown_key_is_refused():
    spec, _ = request(KeyedSpec, {"file": letters(["a", "b"])})
    with pytest.raises(ValueError, match="'c' is not one of a, b"):
        at_point(spec, {"file": "c"})
