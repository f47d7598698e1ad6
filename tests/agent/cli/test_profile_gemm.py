"""`inferometer profile gemm`, from the command line to the document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from command import run
from profile_runs import SHORT, document

if TYPE_CHECKING:
    from pathlib import Path

SIZES = ("--m", 64, "--n", 64, "--k", 64)


@pytest.mark.parametrize(("types", "precision"), [("fp64", "fp64"), ("fp32,fp64", None)])
def test_the_profile_has_a_precision_only_if_all_its_points_have_the_same(
    tmp_path: Path, types: str, precision: str | None
) -> None:
    arguments = ("profile", "gemm", "--dtype", types, *SIZES, "--repeats", 3, *SHORT, "--force", "--json")
    found = document(run(tmp_path, *arguments))
    assert found["workload"]["precision"] == precision
    assert [point["parameters"]["dtype"] for point in found["points"]] == types.split(",")
