"""The row of a profile has the figures of one point, its best one."""

from __future__ import annotations

import json

import msgspec

from agent.render.profile_summary import summary
from serving_documents import OPEN, served


def test_the_energy_of_a_row_is_that_of_its_best_point():
    document = json.loads(json.dumps(served(OPEN), default=msgspec.to_builtins))
    met, missed = document["points"]
    met["serving"]["goodput"]["met"], missed["serving"]["goodput"]["met"] = True, False
    met["energy"]["joules_per_inference"]["total"]["mean"] = 40.0
    missed["energy"]["joules_per_inference"]["total"]["mean"] = 30.0
    found = summary(document)
    assert (found["best_point"], found["joules_per_inference"]) == (met["name"], 40.0)
