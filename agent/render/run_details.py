"""The run behind a printed profile: plan, host, model, engine, startup, sensors, idle power, load, temperatures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.profiling.analysis.background import MAX_OTHER_SHARE
from agent.render.crosscheck_text import layer_lines
from agent.render.figures import figure, unmeasured_reason
from agent.render.serving_tables import client_text
from agent.render.tables import number, percent, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_Json = dict[str, Any]
_INDENT = 13


def run_details(document: Mapping[str, Any], width: int) -> str:
    """Return a labelled line for each fact that is known."""
    return "\n".join(wrapped(text, width, _INDENT, label) for label, text in details(document) if text)


def details(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and the text of each fact; a text is empty if the fact is unknown."""
    host, engine, workload = document["host"], document["engine"], document["workload"]
    virtual = ", virtual machine" if host["virtual"] else ""
    cpus = f", {host['logical_cpus']} logical CPUs" if host["logical_cpus"] else ""
    yield "Profile", f"{document['id']} ({document['status']}, {_plan(document['plan'])})"
    yield "Host", f"{host['name']}: {host['cpu_model'] or 'unknown CPU'}{cpus}{virtual}"
    count = workload["parameter_count"]
    parts = (None if count is None else f"{number(count)} parameters", _shape(workload))
    yield "Model", ": ".join(filter(None, (workload["name"], ", ".join(filter(None, parts)))))
    yield "Engine", _engine(engine)
    yield "Startup", _startup(document.get("startup"))
    yield "Energy", _coverage(document)
    for text in layer_lines(document.get("cross_checks", ())):
        yield "Cross-check", text
    yield "Wall", _modeled_wall(document)
    for text in _idle(document["baselines"]):
        yield "Idle", text
    states = [point["conditions"] for point in document["points"]]
    yield "Client", client_text(document["points"])
    yield "Other load", _other_load(states, host["logical_cpus"])
    yield "Meters", "; ".join(_meter(each) for each in document.get("meters", ()))
    yield "Room", _ambient(document.get("ambient"))
    yield "Temperature", _temperature(states, document["host_state"])


def _engine(engine: _Json) -> str:
    """Return the engine, empty if an imported result does not name it, or the run started programs."""
    if engine["name"] == "unknown":
        return ""
    if engine["provider"] == "program":
        return ""
    device = "" if engine["provider"] == "server" else f"on {engine.get('device') or engine['provider']}"
    share = engine.get("cpu_operator_share")
    rest = f", {percent(share)} of the operators on the CPU" if share else ""
    return " ".join(filter(None, (engine["name"], engine["version"], device))) + rest


def _startup(startup: _Json | None) -> str:
    """Return the time and the energy of loading the model and of the first run."""
    if startup is None:
        return ""
    parts = (("load", "load"), ("first run", "first_run"))
    return ", ".join(f"{words} {_spent(startup, name)}" for words, name in parts)


def _spent(startup: _Json, name: str) -> str:
    joules = startup[f"{name}_joules"]
    energy = f" and {figure(joules, 'J')}" if joules else ""
    return f"{number(startup[f'{name}_seconds'], 's')}{energy}"


def _plan(plan: _Json) -> str:
    times = f"{plan['repeats']} repeat{'s' if plan['repeats'] != 1 else ''}"
    length = f"{plan['mode']}: {times} of {plan['window_seconds']:.3g} s"
    return f"{length}, more until ±{percent(plan['tolerance'])}" if plan["tolerance"] else length


def _idle(baselines: Sequence[_Json]) -> Iterator[str]:
    """Yield one text for each state: its power before the run and after it."""
    for state, words in (("unloaded", "without the model"), ("loaded", "with the model loaded")):
        known = [each for each in baselines if each["state"] == state and each["watts"]]
        if known:
            powers = ", ".join(f"{figure(each['watts'], 'W')} {each['when']} the run" for each in known)
            yield f"{powers}, {words}, {known[0]['watts']['source']}"


def _meter(meter: _Json) -> str:
    """Return a meter with the facts that are stated about it."""
    names = ("model", "accuracy_class", "range", "serial", "calibration_date")
    facts = ", ".join(f"{name.replace('_', ' ')} {meter[name]}" for name in names if meter[name])
    return f"{meter['device']} ({meter['kind']}){': ' if facts else ''}{facts}"


def _ambient(ambient: _Json | None) -> str:
    if ambient is None:
        return ""
    if ambient["source"] == "given":
        return f"{ambient['mean_celsius']:g} °C, given"
    ends = f"{ambient['lowest_celsius']:.1f} to {ambient['highest_celsius']:.1f} °C"
    return f"{ambient['mean_celsius']:.1f} °C ({ends}) by {ambient['sensor']}"


def _modeled_wall(document: Mapping[str, Any]) -> str:
    """Return the modeled energy and power at the wall of each point, empty without a wall factor."""
    model = document.get("wall_model")
    points = [(each["name"], wall) for each in document["points"] if (wall := each.get("modeled_wall"))]
    if not model or not points:
        return ""
    figures = (
        f"{name} {figure(wall['joules_per_inference'], 'J')} per inference, {figure(wall['mean_watts'], 'W')}"
        for name, wall in points
    )
    return f"{'; '.join(figures)}: estimated at the wall by the factor learned on {model['learned']}"


def _other_load(states: Sequence[_Json], logical_cpus: int | None) -> str:
    """Return the load of other programs in the worst window, empty if it is unknown."""
    others = [state["max_other_cpus"] for state in states if state["max_other_cpus"] is not None]
    of = f" of {logical_cpus}" if logical_cpus else ""
    load = [f"{max(others):.2f}{of} CPUs"] if others else []
    shares = dict[str, float]()
    for gpu in (gpu for state in states for gpu in state["gpus"]):
        shares[gpu["device"]] = max(shares.get(gpu["device"], 0.0), gpu["max_other_share"] or 0.0)
    load += [f"{gpu} {percent(share)} busy" for gpu, share in shares.items() if share > MAX_OTHER_SHARE]
    return f"{', '.join(load)} (worst window)" if load else ""


def _temperature(states: Sequence[_Json], host_state: _Json) -> str:
    found = dict[str, list[float]]()
    for each in (device for state in states for device in state["devices"]):
        known = [celsius for celsius in (each["start_celsius"], each["end_celsius"]) if celsius is not None]
        found.setdefault(each["device"], []).extend(known)
    ends = (host_state["before"], host_state["after"])
    found["CPU"] = [end["cpu_celsius"] for end in ends if end and end["cpu_celsius"] is not None]
    return ", ".join(f"{name} {min(each):.0f} to {max(each):.0f} °C" for name, each in found.items() if each)


def _shape(workload: _Json) -> str:
    """Return the shape of a model from its settings, which lack the swept parameters."""
    settings = workload["settings"]
    if isinstance(settings.get("layers"), int) and "width" in settings:
        layers = f"{settings['layers']} layer{'s' if settings['layers'] > 1 else ''} {settings['width']} wide"
        experts = settings.get("experts")
        mixture = (
            f"{settings['active_experts']} of {experts} experts" if isinstance(experts, int) and experts > 1 else ""
        )
        lengths = {"prompt_tokens": "tokens in", "output_tokens": "out"}
        tokens = [f"{settings[name]} {words}" for name, words in lengths.items() if settings.get(name)]
        parts = (settings.get("preset"), layers, mixture, _precision(workload), *tokens)
        return ", ".join(str(part) for part in parts if part)
    own = {name: value for name, value in settings.items() if name not in {"workload", "provider", "device", "threads"}}
    return str(own.get("model") or ", ".join(f"{name} {value}" for name, value in own.items()))


def _precision(workload: _Json) -> str:
    """Return the precision of the weights, and that of the computation if it is another one; empty if unknown."""
    stored, computed = workload["precision"], workload.get("computes_in")
    return f"{stored} computed in {computed}" if computed not in {None, stored} else stored or ""


def _coverage(document: Mapping[str, Any]) -> str:
    coverage = document["coverage"]
    if not coverage["includes"]:
        return f"not available: {unmeasured_reason(document)}"
    parts = ", ".join(f"{each['device']}/{each['domain']}" for each in coverage["includes"])
    part = " its estimated part" if coverage["source"] == "mixed" else ""
    half = f",{part} ±{percent(coverage['relative_uncertainty'])}" if coverage["relative_uncertainty"] else ""
    missing = f"; not covered: {', '.join(coverage['not_covered'])}" if coverage["not_covered"] else ""
    return f"{coverage['source']}{half}, boundary {coverage['boundary']}: {parts}{missing}"
