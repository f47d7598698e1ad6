"""The tariff file that `inferometer tariff init` writes: every key with its explanation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from agent.cost.limits import TariffError
from agent.runtime.text_input import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEAD = """\
# A tariff: your prices, with which Inferometer converts joules and seconds into money.
# Every key is optional; remove the # of a line and enter your own value. A result that needs a missing key is left out.
# `inferometer tariff check` checks the file.
"""
_SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "": {
        "currency": ('"EUR"', "a name, printed beside every amount without conversion"),
        "utilization": ("0.3", "share of the measured throughput in use; more than 0, at most 1"),
        "measured": ('["utilization"]', "the keys of this file that you measured yourself"),
    },
    "Energy": {
        "price_per_kwh": ("0.25", "price of a kilowatt-hour"),
        "pue": ("1.54", "energy of the whole facility over that of its machines; 1 for a machine at a desk"),
        "cooling_overhead": ("0.4", "instead of pue: energy of the cooling over that of the machines, together with"),
        "distribution_loss": ("0.14", "the losses of transformers, UPS, wiring and lights over that of the machines"),
        "wall_factor": ("1.08", "energy at the plug over the measured energy"),
        "demand_charge_per_kw_month": ("12", "monthly price of each kilowatt of the highest power"),
        "price_per_kwh_change_per_year": ("0.03", "0.03 is 3 % more each year"),
        "carbon_intensity_g_per_kwh": ("350", "grams of CO2 equivalent for a kilowatt-hour"),
        "embodied_kg_co2e": ("1500", "kilograms of CO2 equivalent of the manufacture of the machine"),
    },
    "The machine": {
        "capital": ("35000", "purchase price"),
        "life_years": ("4", "years until it is written off"),
        "residual_share": ("0", "value after that, as a share of capital"),
        "discount_rate": ("0.06", "yearly interest, as a share"),
        "maintenance_share": ("0.05", "yearly maintenance, as a share of capital"),
        "price_per_hour": ("2.5", "instead of capital: the rent of the machine, with its energy"),
    },
    "Other costs of one machine": {
        "licences_per_year": ("4500", "yearly price of software"),
        "staff_per_year": ("3000", "yearly cost of the people who operate it"),
        "facility_per_kw_month": ("180", "monthly price of space, for each kilowatt of provisioned_watts"),
        "facility_includes_power": ("false", "true if that price pays for the energy as well"),
        "provisioned_watts": ("1500", "power reserved for the machine"),
        "rack_watts": ("15000", "power of a rack"),
    },
    "The demand, for the number of machines": {
        "peak_factor": ("3", "highest demand over the mean"),
        "headroom": ("0.2", "share of a machine that is left free at the peak"),
        "spares": ("1", "machines beyond the needed ones"),
        "demand_growth_per_year": ("0.2", "0.2 is 20 % more each year"),
    },
}
_TABLES = """
# The range in which you expect a value, for the bounds of the costs.
# [range]
# price_per_kwh = [0.20, 0.35]

# Prices by the hour of the local day. days is "all", "weekdays" or "weekend".
# [[time_of_day]]
# from_hour = 22
# until_hour = 6
# price_per_kwh = 0.18
# days = "all"

# Offers of others for the same work, an API or an instance by the hour.
# [[offer]]
# name = "api"
# price_per_million_input_tokens = 0.15
# price_per_million_output_tokens = 0.6

# Sites, each with a name and the keys that differ there; `inferometer cost --site Berlin` chooses one.
# [[site]]
# name = "Berlin"
# price_per_kwh = 0.28
"""
QUESTIONS: Mapping[str, str] = {
    "currency": "Currency, such as EUR",
    "price_per_kwh": "Price of a kilowatt-hour",
    "pue": "PUE (1 for a machine at a desk; empty: 1.54, an average of data centres)",
    "capital": "Purchase price of the machine",
    "life_years": "Years until it is written off (empty: 4)",
    "maintenance_share": "Yearly maintenance as a share of the purchase price, such as 0.05",
    "utilization": "Share of its capacity in use, such as 0.3",
    "carbon_intensity_g_per_kwh": "Grams of CO2 equivalent for a kilowatt-hour",
}
"""The keys that the command asks for, and its questions."""


def value_of(name: str, answer: str) -> str | float:
    """Return the value of an answer to a question. Raises TariffError if it is not a number where one is needed."""
    if name == "currency":
        return answer
    try:
        return float(answer)
    except ValueError:
        raise TariffError(f"{name} = {quoted(answer)} is not a number") from None


def template(given: Mapping[str, str | float]) -> str:
    """Return the text of a tariff file with the given values; all other keys are comments."""
    parts = [_HEAD]
    for title, keys in _SECTIONS.items():
        parts += [f"\n# {title}"] if title else []
        for name, (example, meaning) in keys.items():
            value = _toml(given[name]) if name in given else example
            line = f"{name} = {value}" if name in given else f"# {name} = {value}"
            parts.append(f"{line:<37} # {meaning}")
    return "\n".join(parts) + "\n" + _TABLES


def _toml(value: str | float) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else f"{value:.15g}"
