"""Runs the profiles of a campaign: verifies each host, takes the bundles, and stores them."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING

from agent.bundles.archive import read_bundle
from agent.bundles.manifest import MAX_BUNDLE_BYTES, BundleError
from agent.campaigns.commands import export_task, facts_task, profile_task
from agent.campaigns.errors import CampaignError
from agent.campaigns.events import Checked, Ended, Stored
from agent.campaigns.facts import read_facts
from agent.campaigns.records import Task
from agent.campaigns.verification import clock_bounds, verify
from agent.runtime.console import printable_line
from agent.runtime.output import output
from agent.runtime.text_input import TextInputError, quoted, read_bytes
from probes.text import one_line
from store.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from agent.bundles.manifest import Bundle
    from agent.campaigns.campaign import Campaign, Rules
    from agent.campaigns.events import PlannedTask
    from agent.campaigns.journal import Journal
    from agent.campaigns.records import Outcome

_FACTS = ("campaign", "facts")
_LONGEST_REASON = 1000


class Head:
    """The head of a run. `save` stores a bundle; `show` prints a line about the progress."""

    def __init__(
        self,
        campaign: Campaign,
        journal: Journal,
        save: Callable[[Bundle], object],
        show: Callable[[str], object],
    ) -> None:
        self._campaign = campaign
        self._journal = journal
        self._save = save
        self._show = show
        self._hosts = {each.host.name: each for each in campaign.hosts}

    def measure(self) -> None:
        """Verify the hosts of all profiles that are missing, and measure these. Raises CampaignError and OSError.

        A host that fails changes nothing for the others. Profiles that an earlier head has fetched are stored first.
        """
        self._store_fetched()
        with closing(self._campaign.launcher.run(self._tasks(), self._journal, self._proceed)) as outcomes:
            for outcome in outcomes:
                if not _asks_for_facts(outcome.task):
                    self._take(outcome)

    def check(self) -> None:
        """Verify the hosts alone."""
        tasks = [
            facts_task(self._campaign, each.host, self._facts_uid(number))
            for number, each in enumerate(self._hosts.values())
        ]
        with closing(self._campaign.launcher.run(tasks, self._journal, self._proceed)) as outcomes:
            for _ in outcomes:
                continue

    def collect(self) -> None:
        """Fetch the missing profiles from the stores of verified hosts; nothing is measured."""
        self._store_fetched()
        missing, state = list(self._missing()), self._journal.state
        for name in dict.fromkeys(each.host for each in missing if not state.is_verified(each.host)):
            self._show(
                f"{name}: it is not verified, so nothing is taken from it: `inferometer campaign resume` verifies it"
            )
        wanted = [each for each in missing if state.is_verified(each.host)]
        tasks = [export_task(self._hosts[each.host].host, each.uid) for each in wanted]
        with closing(self._campaign.launcher.run(tasks, self._journal, lambda each: each.code is not None)) as outcomes:
            for outcome in outcomes:
                if outcome.code == 0:
                    self._take(outcome)
                else:
                    self._show(f"{outcome.task.host.name}: {outcome.task.uid} is not there: {reason_of(outcome)}")

    def _tasks(self) -> Sequence[Task]:
        """Return the tasks of the missing profiles, after the facts of their host."""
        waiting: dict[str, list[PlannedTask]] = {}
        for each in self._missing():
            waiting.setdefault(each.host, []).append(each)
        found = list[Task]()
        for number, (name, expected) in enumerate(self._hosts.items()):
            if name in waiting:
                found.append(facts_task(self._campaign, expected.host, self._facts_uid(number)))
            for each in waiting.get(name, ()):
                workload = self._campaign.workloads[each.workload]
                found.append(profile_task(self._campaign, expected, workload, each.uid))
        return found

    def _missing(self) -> Iterator[PlannedTask]:
        """Yield the profiles that are neither in the store of the head nor in a file beside its journal."""
        for uid, task in self._journal.state.tasks.items():
            if not task.stored and not self._journal.bundle(uid).exists():
                yield task.planned

    def _facts_uid(self, number: int) -> str:
        return f"{self._journal.state.begun.run}-host-{number}"

    def _proceed(self, outcome: Outcome) -> bool:
        """Return whether the other tasks of a host run; called by the threads of a launcher."""
        if not _asks_for_facts(outcome.task):
            return outcome.code is not None
        checked = self._checked(outcome)
        self._journal.append(checked)
        for problem in checked.problems:
            self._show(f"{checked.host}: refused: {problem}")
        return not checked.problems

    def _checked(self, outcome: Outcome) -> Checked:
        name = outcome.task.host.name
        if outcome.code != 0:
            return Checked(name, None, None, (reason_of(outcome),), ())
        try:
            facts = read_facts(outcome.result)
        except CampaignError as error:
            return Checked(name, None, None, (_shortened(str(error)),), ())
        clock = clock_bounds(facts, outcome.sent_ns, outcome.received_ns)
        devices, own = self._hosts[name].devices, self._journal.state.tasks
        found = verify(facts, clock, self._rules_of(name), devices, version("inferometer"), own)
        problems = list(map(_shortened, found.problems))
        if self._journal.state.machines.get(name, facts.id) != facts.id:
            problems.append("it is another machine than earlier in this run: correct its address, or start a new run")
        return Checked(name, facts, (clock.lower, clock.upper), tuple(problems), found.notes)

    def _rules_of(self, name: str) -> Rules:
        """Return the rules of a host: it needs no sensors if all of its profiles have those of another one."""
        rules, host = self._campaign.rules, self._hosts[name].host
        elsewhere = all(each.measures_elsewhere for each in self._campaign.workloads if each.is_for(host))
        return replace(rules, require_energy=rules.require_energy and not elsewhere)

    def _take(self, outcome: Outcome) -> None:
        """Take the end of a profile's command: write its bundle first, then the journal, then the store."""
        uid, seconds = outcome.task.uid, (outcome.received_ns - outcome.sent_ns) / 1e9
        bundle, reason = None, reason_of(outcome)
        if outcome.code == 0:
            bundle, reason = self._bundle(outcome.result, uid)
        if bundle is not None:
            with output(self._journal.bundle(uid), 0o600) as stream:
                stream.write(outcome.result)
        self._journal.append(Ended(uid, outcome.code, reason, seconds, outcome.detached))
        self._show(f"{outcome.task.host.name}: {uid}: {reason or 'complete'}")
        if bundle is not None:
            self._store(bundle)

    def _bundle(self, content: bytes, uid: str) -> tuple[Bundle | None, str]:
        """Return the bundle of a host, whose content is not trusted, or the reason against it."""
        try:
            bundle = read_bundle(content)
        except BundleError as error:
            return None, _shortened(f"its bundle: {error}")
        reason = self._reason_against(bundle, uid)
        return (None, _shortened(reason)) if reason else (bundle, "")

    def _reason_against(self, bundle: Bundle, uid: str) -> str:
        state, points = self._journal.state, bundle.document["points"]
        planned, host = state.tasks[uid].planned, bundle.document["host"]
        if bundle.manifest.uid != uid:
            return f"its bundle is that of {bundle.manifest.uid}"
        if not state.is_verified(planned.host):
            return "it is not verified"
        if bundle.samples is not None:
            return "its bundle has samples, which nobody requested"
        elsewhere = self._campaign.workloads[planned.workload].measures_elsewhere
        if host["id"] != state.machines[planned.host] and not elsewhere:
            return f"its bundle is that of another machine, {quoted(host['name'])}"
        if self._campaign.rules.require_energy:
            without = [point["name"] for point in points if point["energy"] is None]
            return f"no energy for {', '.join(without)}" if without else ""
        return ""

    def _store_fetched(self) -> None:
        """Store the bundles that an earlier head has written, whether or not the journal has their end.

        A damaged one is removed: its host has the profile.
        """
        for uid, task in self._journal.state.tasks.items():
            path = self._journal.bundle(uid)
            if task.stored or not path.exists():
                continue
            try:
                bundle, reason = self._bundle(read_bytes(path, MAX_BUNDLE_BYTES, "a bundle"), uid)
            except TextInputError as error:
                bundle, reason = None, str(error)
            if bundle is None:
                self._show(f"warning: {path}: {reason}; its host is asked again")
                path.unlink(missing_ok=True)
                continue
            if task.status != "fetched":
                self._journal.append(Ended(uid, 0, "", 0.0, detached=False))
            self._store(bundle)

    def _store(self, bundle: Bundle) -> None:
        """Store a bundle, and remove its file; a store that fails is a warning, and the file stays for `collect`."""
        uid = bundle.manifest.uid
        try:
            self._save(bundle)
        except (StoreError, BundleError) as error:
            self._show(f"warning: profile {uid} is not stored: {error}; `inferometer campaign collect` tries again")
            return
        self._journal.append(Stored(uid))
        self._journal.bundle(uid).unlink(missing_ok=True)


def _asks_for_facts(task: Task) -> bool:
    return task.words[:2] == _FACTS


def _shortened(text: str) -> str:
    """Return a text with names of a host, which can be as long as it likes, as one line for a table."""
    line = printable_line(text)
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."


def reason_of(outcome: Outcome) -> str:
    """Return the reason of a command that failed: the error that it printed, else its last line."""
    lines = [one_line(line) for line in outcome.errors.splitlines()]
    lines = [line for line in lines if line]
    last = next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")
    if last:
        return last.removeprefix("error:").strip()
    return "it did not answer" if outcome.code is None else f"its command ended with code {outcome.code}"
