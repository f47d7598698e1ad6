"""The families of sensors, with their state on this host, as a JSON document and as text."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any

from probes.registry import ESTIMATE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from probes.family import Family
    from probes.other_packages import KnownFamily
    from probes.registry import Discovery

_COLUMNS = 100
_LABEL = 12
_NAMES = 4


def document(known: Sequence[KnownFamily], found: Discovery) -> list[dict[str, Any]]:
    """Return each family with its description, the number of its probes here, and the reason if there is none."""
    return [_entry(each, found) for each in known]


def family_text(known: Sequence[KnownFamily], found: Discovery) -> str:
    """Return the families as blocks of lines."""
    return "\n\n".join("\n".join(_block(entry)) for entry in document(known, found))


def _entry(known: KnownFamily, found: Discovery) -> dict[str, Any]:
    probes = sum(probe.name.partition("/")[0] == known.name for probe in found.probes)
    reason = "" if probes else _reason(known, found)
    family = known.family
    return {
        "family": known.name,
        "package": known.package or "inferometer",
        "probes": probes,
        "reason": reason or None,
        "title": family.title if family else None,
        "kinds": [kind.value for kind in family.kinds] if family else [],
        "reads": family.reads if family else None,
        "method": family.method if family else None,
        "refresh": family.refresh if family else None,
        "privilege": (family.privilege or None) if family else None,
        "remedy": (family.remedy or None) if family else None,
        "tested_on": list(family.tested_on) if family else [],
        "configured": family.configured if family else None,
        "service": (permissions(family) or None) if family else None,
    }


def permissions(family: Family) -> str:
    """Return what `service install --enable` lets the service do for a family, empty if it needs nothing."""
    needs = family.service
    devices = [each.partition(" ")[0] for each in needs.devices]
    opened = [line.split()[1] for line in needs.tmpfiles]
    parts = [
        *_listed("device", devices),
        *_listed("group", needs.groups),
        *_listed("capability", needs.capabilities),
        *_listed("system call", needs.system_calls),
        *_listed("read-only path", needs.paths),
        *_listed("file", opened),
        *(("a udev rule",) if needs.rules else ()),
    ]
    own = "; ".join(parts)
    if not family.meter_kinds:
        return own
    return "the addresses of its configured meters" + (f'; for a meter at "local" {own}' if own else "")


def _listed(word: str, names: Sequence[str]) -> list[str]:
    """Return a word with some names, of which the first ones are shown."""
    more = ", ..." if len(names) > _NAMES else ""
    return [f"{word}{'s' if len(names) > 1 else ''} {', '.join(names[:_NAMES])}{more}"] if names else []


def _reason(known: KnownFamily, found: Discovery) -> str:
    """Return the reason why a family has no probe here."""
    if known.reason:
        return known.reason
    if known.name in found.excluded:
        return "excluded by the configuration"
    missing = (each.reason for each in found.missing_families if each.family == known.name)
    failed = (each.reason for each in found.problems if each.sensor == f"everything of {known.name}")
    is_needless = known.name == ESTIMATE
    absent = "not searched, because sensors measure the processors" if is_needless else "no readable sensor"
    return next((reason for reason in (*missing, *failed)), absent)


def _block(entry: dict[str, Any]) -> Iterator[str]:
    number = entry["probes"]
    state = f"{number} probe{'s' if number > 1 else ''}" if number else "none here"
    yield "  ".join(filter(None, (entry["family"], entry["title"], f"[{state}]")))
    rows = {
        "reads": entry["reads"],
        "method": entry["method"],
        "refresh": entry["refresh"],
        "privilege": entry["privilege"] or "none",
        "remedy": entry["remedy"],
        "service": f"service install --enable {entry['family']}: {entry['service']}" if entry["service"] else "",
        "tested on": "; ".join(entry["tested_on"]),
        "configure": "`[[meters]]` of the configuration file" if entry["configured"] else "",
        "package": "" if entry["package"] == "inferometer" else entry["package"],
        "none here": entry["reason"],
    }
    for label, text in rows.items():
        if text and (entry["title"] or label in {"package", "none here"}):
            first, *more = wrap(text, _COLUMNS - _LABEL - 2)
            yield f"  {label.ljust(_LABEL)}{first}"
            yield from (f"  {' ' * _LABEL}{line}" for line in more)
