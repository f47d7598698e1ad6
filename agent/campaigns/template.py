"""The campaign file that `inferometer campaign init` writes: two hosts on this machine, and every other key."""

from __future__ import annotations

TEMPLATE = """\
# A campaign: the same profiles on many hosts. `inferometer campaign check` checks this file and verifies the hosts,
# `inferometer campaign run` measures. Every key is explained in docs/campaigns.md.
name = "first-campaign"
mode = "quick"             # quick, standard or rigorous
repetitions = 1            # profiles of each workload on each host; [drift] needs 3
other_load = 0.5           # share of a host's CPUs that other programs may use; 0.2 for servers
# require_energy = true    # refuse a host on which nothing measures power
# tariff = "tariff.toml"   # prices, for costs in the profiles
# schedule = "Sun 02:00"   # for `inferometer campaign schedule`

# Two hosts on this machine, each with a store of its own, that are measured one after the other.
[launcher]
kind = "local"             # or ssh, with hosts such as the third one

[[host]]
name = "first"
database = "~/.local/state/inferometer/first/inferometer.db"

[[host]]
name = "second"
database = "~/.local/state/inferometer/second/inferometer.db"

# [[host]]
# name = "node[01-16]"     # sixteen hosts
# address = "measure@gpu-server.example.org"   # for one host, if it is not its name
# program = "/opt/inferometer/bin/inferometer"
# labels = { site = "berlin" }
# devices = { "NVIDIA H100*" = 8 }

[[workload]]
name = "transformer"
options = { batch = [1, 8] }
# hosts = ["node*", "site=berlin"]   # by name, pattern or label; all without this key

# Compare with the accepted run, and fail if a figure is significantly worse, by this share or more.
# [drift]
# share = 0.05
"""
