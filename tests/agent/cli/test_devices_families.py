import json

from command import call
from probes.registry import ESTIMATE, FAMILIES
from trees import FIXTURES, copy_tree

NO_NVIDIA = ("--path.nvml-library", "/nowhere/libnvidia-ml.so.1")
HOST = ("--path.sysfs", FIXTURES / "trees/intel_server_2s/sys", "--path.procfs", FIXTURES / "proc/epyc_two_packages")


def listed(tmp_path, *arguments):
    result = call(tmp_path, "devices", "--families", "--json", *NO_NVIDIA, *arguments)
    assert result.returncode == 0, result.stderr
    return {entry["family"]: entry for entry in json.loads(result.stdout)}


def test_every_family_is_listed_with_its_description_and_its_state_here(tmp_path):
    families = listed(tmp_path, *HOST)
    assert list(families) == [*FAMILIES, ESTIMATE]
    assert families["rapl"] == {
        "family": "rapl",
        "package": "inferometer",
        "probes": 1,
        "reason": None,
        "title": "Intel and AMD processors (RAPL)",
        "kinds": ["cpu", "memory", "host"],
        "reads": "energy of packages, cores, graphics, memory and psys",
        "method": "energy counters of powercap",
        "refresh": "1 ms",
        "privilege": "root, or the group of the udev rule",
        "remedy": "`inferometer service install` puts a udev rule in place",
        "tested_on": ["captured trees of servers and clients"],
        "configured": False,
        "service": None,
    }
    assert families["redfish"]["service"] == "the addresses of its configured meters"
    assert families["neuron"]["service"] == "device char-neuron"
    assert families["nvml"]["probes"] == 0
    assert "no NVIDIA driver library" in families["nvml"]["reason"]
    assert families[ESTIMATE]["reason"] == "not searched, because sensors measure the processors"
    assert all(entry["probes"] or entry["reason"] for entry in families.values())


def test_an_excluded_family_is_listed_as_excluded(tmp_path):
    assert listed(tmp_path, *HOST, "--exclude", "rapl")["rapl"]["reason"] == "excluded by the configuration"


def test_a_family_whose_sensors_cannot_be_read_has_no_probe(tmp_path):
    tree = copy_tree("intel_server_2s", tmp_path / "tree")
    for counter in tree.glob("devices/virtual/powercap/**/energy_uj"):
        counter.write_text("N/A\n")
    assert listed(tmp_path, "--path.sysfs", tree)["rapl"]["reason"] == "no readable sensor"


def test_the_list_as_text_has_a_block_for_each_family(tmp_path):
    text = call(tmp_path, "devices", "--families", *NO_NVIDIA, *HOST).stdout
    blocks = {block.split()[0]: block for block in text.split("\n\n")}
    assert list(blocks) == [*FAMILIES, ESTIMATE]
    assert blocks["rapl"].splitlines() == [
        "rapl  Intel and AMD processors (RAPL)  [1 probe]",
        "  reads       energy of packages, cores, graphics, memory and psys",
        "  method      energy counters of powercap",
        "  refresh     1 ms",
        "  privilege   root, or the group of the udev rule",
        "  remedy      `inferometer service install` puts a udev rule in place",
        "  tested on   captured trees of servers and clients",
    ]
    assert blocks["nvml"].splitlines()[0] == "nvml  NVIDIA GPUs  [none here]"
    assert "  none here   no NVIDIA driver library" in blocks["nvml"]
    assert max(map(len, text.splitlines())) <= 100
