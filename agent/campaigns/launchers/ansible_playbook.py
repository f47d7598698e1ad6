"""The playbook of a campaign: the tasks of each host, with their results in a folder of the head; pure.

Every value of the campaign is `!unsafe`, so that Ansible never takes it for a template.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from agent.campaigns.launchers.job_notes import by_host
from agent.campaigns.launchers.processes import MOST_ERROR_BYTES
from agent.campaigns.records import MOST_RESULT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from agent.campaigns.records import Task

PLAYBOOK, TASK, LIMIT = "playbook.yml", "task.yml", "limit"
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""The characters that YAML takes for the end of a line or refuses, and that JSON leaves as they are."""
_RESULT = "\0"
"""The place of the path of a result among the words of a command: no word contains it."""

_PLAY = """---
- name: Run a campaign of Inferometer
  hosts: all
  gather_facts: false
  strategy: ansible.builtin.free
  vars:
    campaign_results: {results}
    campaign_tasks:
{tasks}
  tasks:
    - name: Make a folder for results
      ansible.builtin.tempfile:
        state: directory
        prefix: inferometer-
      register: campaign_folder
    - name: Run the tasks of the host
      ansible.builtin.include_tasks: task.yml
      loop: "{{{{ campaign_tasks[inventory_hostname] }}}}"
      loop_control:
        loop_var: campaign_task
        label: "{{{{ campaign_task.uid }}}}"
    - name: Remove the folder
      ansible.builtin.file:
        path: "{{{{ campaign_folder.path }}}}"
        state: absent
"""

_STEPS = """---
- name: Run a task unless the head stopped this host
  when: campaign_next | default('run') == 'run'
  vars:
    campaign_result: "{{{{ campaign_folder.path }}}}/{{{{ campaign_task.uid }}}}"
    campaign_local: "{{{{ campaign_results }}}}/{{{{ campaign_task.uid }}}}"
  block:
    - name: Record the beginning
      ansible.builtin.copy:
        content: ""
        dest: "{{{{ campaign_local }}}}.begun"
        mode: "0600"
      delegate_to: localhost
      become: false
    - name: Run the command
      ansible.builtin.command:
        argv: "{{{{ campaign_task.before + [campaign_result] + campaign_task.after }}}}"
        stdin: "{{{{ campaign_task.given }}}}"
        stdin_add_newline: false
      timeout: "{{{{ campaign_task.seconds }}}}"
      register: campaign_done
      failed_when: false
    - name: Find the result
      ansible.builtin.stat:
        path: "{{{{ campaign_result }}}}"
        get_checksum: false
      register: campaign_file
    - name: Fetch the result
      ansible.builtin.fetch:
        src: "{{{{ campaign_result }}}}"
        dest: "{{{{ campaign_local }}}}.result"
        flat: true
      when: campaign_file.stat.exists and campaign_file.stat.size <= {most_bytes}
    - name: Store the end of the messages
      ansible.builtin.copy:
        content: "{{{{ (campaign_done.stderr | default('') or campaign_done.msg | default(''))[-{most}:] }}}}"
        dest: "{{{{ campaign_local }}}}.errors"
        mode: "0600"
      delegate_to: localhost
      become: false
    - name: Store the exit code
      ansible.builtin.copy:
        content: "{{{{ campaign_done.rc | default('') | string }}}}"
        dest: "{{{{ campaign_local }}}}.code"
        mode: "0600"
      delegate_to: localhost
      become: false
    - name: Wait for the decision of the head
      ansible.builtin.wait_for:
        path: "{{{{ campaign_local }}}}.next"
        sleep: 1
        timeout: 3600
      delegate_to: localhost
      become: false
    - name: Read the decision
      ansible.builtin.set_fact:
        campaign_next: "{{{{ lookup('ansible.builtin.file', campaign_local ~ '.next') }}}}"
"""


def playbook_of(tasks: Sequence[Task], results: Path) -> dict[str, str]:
    """Return the files of the playbook; `results` is the folder of the head."""
    lines = "\n".join(line for own in by_host(tasks).values() for line in _host(own))
    return {
        PLAYBOOK: _PLAY.format(results=_unsafe(str(results)), tasks=lines),
        TASK: _STEPS.format(most_bytes=MOST_RESULT_BYTES, most=MOST_ERROR_BYTES // 4),
        LIMIT: "".join(f"{own[0].host.address}\n" for own in by_host(tasks).values()),
    }


def _host(tasks: Sequence[Task]) -> Iterator[str]:
    yield f"      {json.dumps(tasks[0].host.address)}:"
    for task in tasks:
        words = task.command(_RESULT)
        place = words.index(_RESULT)
        yield f"        - uid: {_unsafe(task.uid)}"
        yield f"          before: {_unsafe_list(words[:place])}"
        yield f"          after: {_unsafe_list(words[place + 1 :])}"
        yield f"          given: {_unsafe(task.given)}"
        yield f"          seconds: {task.timeout_seconds:.0f}"


def _unsafe_list(words: Sequence[str]) -> str:
    return f"[{', '.join(map(_unsafe, words))}]"


def _unsafe(text: str) -> str:
    """Return a text as a quoted scalar of YAML, whose escapes include those of JSON."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "!unsafe " + _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
