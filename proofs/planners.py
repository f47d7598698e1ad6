"""Lets planners read exports of profiles that are measured here, and checks their recommendations.

    make proof-planners                                # a scripted server
    make proof-planners PROOF_ARGS="--server llama"    # llama-server, without llm-d-planner

The scripted server answers with the times of a known law, and drives the energy counter of a tree of /sys. `profile
endpoint --for NAME` measures the points of each planner, `export --to NAME` writes its files, and the planner answers
in an environment of its own. The exit code is 1 if an answer does not follow from the profile. With --quick, one length
is measured for llm-d-planner, and Dynamo and AIConfigurator are left out. A small server takes hours for the 1,200
requests of llm-d-planner, so llama-server has shorter ones, and none for that planner.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from cost_formats import aiconfigurator, focus, generated_profile
from live_service import PROGRAM
from planner_environments import DYNAMO, LLM_D_PLANNER, REPORT, ask
from programs import CACHE
from reporting import Bar, Verdict, finish, table
from servers import llama_command, serving

from scripted_answers import Answer, output_tokens, prompt_tokens
from scripted_server import ScriptedServer
from trees import powercap_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TARIFF = 'price_per_kwh = 0.2\ncurrency = "USD"\ncapital = 4000\npue = 1.2\n'
HARDWARE, MODEL = "INFEROMETER-HOST", "scripted/small-model"
ALPHA_MS, BETA_MS, GAMMA_MS = 4.0, 0.1, 0.0003
LAW = {"serviceParms.alpha": ALPHA_MS, "serviceParms.beta": BETA_MS, "serviceParms.gamma": GAMMA_MS}
"""The law of the server, in the terms of the workload-variant-autoscaler since February 2026."""
DEAR = 1000.0
"""A factor that makes this host dearer than any other hardware of the planner's catalog."""
CLIENTS, QUICK_SECONDS = 16, 8.0
MOST_DIFFERENCE, LEAST_R2 = 0.25, 0.9
KV_TOKENS, LIMIT_SECONDS = 100_000, 3600.0
IDLE_WATTS, REQUEST_WATTS, MOST_ENERGY_DIFFERENCE = 50.0, 10.0, 0.05
"""The power of the idle scripted server and of each request in service, and the largest difference of the median."""
MOST_TRIES, LEAST_VALID = 2, 0.9
"""Measurements of a profile until this share of its points is valid: other programs can delay the client."""
ASKED = {"scripted": (500.0, 20.0, 1024, 128), "llama": (3000.0, 100.0, 128, 16)}
"""The limits in ms of the first token and of the others, and the lengths for which Dynamo's planner is asked."""
LLAMA = ("--prompt-tokens", "32,64,96,128,192", "--output-tokens", "16", "--concurrency", "1,2,4")


@dataclass(frozen=True, slots=True)
class Proof:
    """The folder of a proof, the URL of the server, the /sys of its sensors, and whether it is a short trial."""

    home: Path
    url: str
    sysfs: Path = Path("/sys")
    quick: bool = False

    def profile(self, name: str, *options: str) -> Path:
        """Measure a profile, again if a point is invalid, and return its file."""
        path = self.home / f"{name}.json"
        for _ in range(MOST_TRIES):
            print(f"measuring for {name} ...", file=sys.stderr, flush=True)
            path.write_text(
                output(
                    PROGRAM, "profile", "endpoint", "--url", self.url, "--tariff", self.home / "tariff.toml",
                    "--path.sysfs", self.sysfs, "--idle-seconds", "2", "--warmup-seconds", "1", *options,
                    "--force", "--no-store", "--json",
                )
            )  # fmt: skip
            valid = [point["valid"] for point in json.loads(path.read_text())["points"]]
            if sum(valid) >= LEAST_VALID * len(valid):
                break
        return path

    def export(self, profile: Path, name: str, *options: str) -> Path:
        """Export a profile, and return the folder of the files."""
        folder = self.home / f"{name}-files"
        output(PROGRAM, "export", profile, "--to", name, *options, "-o", folder)
        return folder


def output(*command: str | Path) -> str:
    """Return the output of a command; the proof ends with its errors if it fails."""
    line = list(map(str, command))
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=LIMIT_SECONDS)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def quickly(_number: int, body: Any) -> Answer:
    """Return an answer for lengths of thousands of tokens: 3 ms for each."""
    return timed(0.05 + 1e-5 * prompt_tokens(body, "chat"), 0.003, output_tokens(body, Answer()))


def timed(first_seconds: float, gap_seconds: float, count: int) -> Answer:
    """Return an answer of `count` tokens with these times, whose energy is that of a constant power."""
    seconds = first_seconds + gap_seconds * max(count - 1, 0)
    return Answer(first_seconds, gap_seconds, joules=REQUEST_WATTS * seconds)


def lawful(server: Callable[[], ScriptedServer]) -> Callable[[int, Any], Answer]:
    """Return answers whose times depend on the requests in service and on the lengths."""

    def answer(_number: int, body: Any) -> Answer:
        running = sum(1 for each in server().served[-256:] if not each.end_ns)
        prompt, count = prompt_tokens(body, "chat"), output_tokens(body, Answer())
        context = prompt + count / 2
        iteration = ALPHA_MS + running * (BETA_MS * (prompt + count) / (count + 1) + GAMMA_MS * context)
        token = iteration + BETA_MS + GAMMA_MS * context
        prefill = iteration + (BETA_MS + GAMMA_MS) * prompt
        return timed((prefill + token) / 1000, token / 1000, count)

    return answer


def llm_d_planner(proof: Proof) -> list[Bar]:
    """Ask llm-d-planner with the price of this host, and with one that is too high."""
    options = ("--for", "llm-d-planner") if not proof.quick else (
        "--prompt-tokens", "512", "--output-tokens", "256", "--window-seconds", str(QUICK_SECONDS),
    )  # fmt: skip
    profile = proof.profile("llm-d-planner", *options, "--concurrency", str(CLIENTS))
    facts = ("--set", f"hardware={HARDWARE}", "--set", f"model={MODEL}")
    folder = proof.export(profile, "llm-d-planner", *facts)
    rows = {
        (row["prompt_tokens"], row["output_tokens"]): row
        for row in json.loads((folder / "benchmarks.json").read_text())["benchmarks"]
    }
    (device,) = json.loads((folder / "gpu_catalog.json").read_text())["gpu_types"]
    cheap, dear = (ask(LLM_D_PLANNER, "llm_d_planner", folder, str(factor)) for factor in (1, DEAR))
    shown, bars = [], []
    for case, answers in cheap.items():
        row = rows.get(tuple(answers["beside"]["lengths"]))
        if row is None:
            continue
        best, alone = answers["beside"]["recommended"], answers["alone"]["recommended"]
        named = [each for each in (best, alone) if each and each["hardware"] == HARDWARE and each["model"] == MODEL]
        other = dear[case]["beside"]["recommended"]
        shown.append((case, f"{row['prompt_tokens']}/{row['output_tokens']}", *_cells(best), _cells(other)[0]))
        wrong = 2 - len(named) + sum(_differs(each, row, device) for each in named)
        wrong += other is not None and other["hardware"] == HARDWARE
        bars.append(Bar(f"llm-d-planner, {case}: wrong answers", wrong, 0))
    wanted = 1 if proof.quick else len(cheap)
    bars.append(Bar("llm-d-planner: use cases with a recommendation", len(shown), wanted, at_least=True))
    columns = ("USE CASE", "TOKENS", "CHEAPEST", "REPLICAS>", "USD/H>", "TTFT P95>", "ITL P95>", f"AT {DEAR:g}x")
    table(f"{LLM_D_PLANNER}, {device['cost_per_hour_usd']:.4f} USD for an hour of {HARDWARE}", columns, shown)
    return bars


def _cells(best: dict[str, Any] | None) -> tuple[object, ...]:
    if best is None:
        return "none", "", "", "", ""
    return best["hardware"], best["replicas"], best["usd_per_hour"], best["ttft_p95_ms"], best["itl_p95_ms"]


def _differs(best: dict[str, Any], row: dict[str, Any], device: dict[str, Any]) -> bool:
    """Return whether the price or the latencies of a recommendation are not those of the export."""
    price = device["cost_per_hour_usd"] * row["hardware_count"] * best["replicas"]
    latencies = [best[f"{name}_p95_ms"] == int(row[f"{name}_p95"]) for name in ("ttft", "itl", "e2e")]
    rate = best["requests_per_second"] / best["replicas"]
    alike = math.isclose(best["usd_per_hour"], price) and math.isclose(rate, row["requests_per_second"])
    return not (alike and all(latencies) and best["meets_slo"])


def dynamo(proof: Proof, profile: Path, server: str) -> list[Bar]:
    """Ask the regressions of Dynamo's planner for the measured times and for a capacity."""
    first_ms, token_ms, prompt, length = ASKED[server]
    folder = proof.export(profile, "dynamo", "--set", f"max_kv_tokens={KV_TOKENS}")
    answer = ask(DYNAMO, "dynamo", folder, *map(str, ASKED[server]))
    shown, bars = [], []
    for name, limit in (("prefill", first_ms), ("decode", token_ms)):
        found = answer[name]
        differences = sorted(abs(predicted / measured - 1) for measured, predicted in found["points"])
        middle, capacity = differences[len(differences) // 2], found["requests_per_second"]
        shown.append((name, len(differences), f"{middle:.1%}", f"{limit:g} ms", found["ms"], capacity))
        bars += [
            Bar(f"Dynamo, {name}: median difference of predicted and measured times", middle, MOST_DIFFERENCE),
            Bar(f"Dynamo, {name}: capacity", capacity, 0.1, "requests/s", at_least=True),
            Bar(f"Dynamo, {name}: predicted time at the capacity", found["ms"], limit, "ms"),
        ]
    columns = ("PHASE", "POINTS>", "DIFFERENCE>", "LIMIT>", "TIME (MS)>", "REQUESTS/S>")
    table(f"{DYNAMO}, for prompts of {prompt} and outputs of {length} tokens", columns, shown)
    return bars


def wva(proof: Proof, profile: Path, law: Mapping[str, float]) -> list[Bar]:
    """Show the fitted parameters of the autoscaler beside the law of the server, if it is known."""
    folder = proof.export(profile, "wva")
    (model,) = json.loads((folder / "models.json").read_text())["models"]
    (accelerator,) = json.loads((folder / "accelerators.json").read_text())["accelerators"]
    sets = ("serviceParms", "decodeParms", "prefillParms")
    rows = [(f"{each}.{name}", law.get(f"{each}.{name}", ""), v) for each in sets for name, v in model[each].items()]
    rows += [(f"R2 of {name}", "", share) for name, share in model["fit"]["r2"].items()]
    table(f"workload-variant-autoscaler, power {accelerator['power']}", ("PARAMETER", "LAW>", "FITTED>"), rows)
    return [
        Bar(f"wva, {name}: R2", share, LEAST_R2, at_least=True)
        for name, share in model["fit"]["r2"].items()
        if law and name.startswith("serviceParms")
    ]


def benchmark_report(proof: Proof, profile: Path) -> list[Bar]:
    """Validate the reports with the published models, and compare their figures with the profile."""
    points = [point for point in json.loads(profile.read_text())["points"] if point["valid"]]
    reports = ask(REPORT, "benchmark_report", proof.export(profile, "benchmark-report"))
    wrong = sum(
        (report["version"], report["units"], report["machine"]) != ("0.2", "Watts", "generic")
        or report["power_source"] != point["power"]["source"]
        or report["watts"] != point["power"]["mean_watts"]["mean"]
        or report["joules_per_request"] != point["energy"]["joules_per_inference"]["total"]["mean"]
        or report["requests_per_second"] != point["inferences_per_second"]["mean"]
        for report, point in zip(reports, points, strict=True)
    )
    rows = [
        (number, report["watts"], report["joules_per_request"], report["power_source"])
        for number, report in enumerate(reports)
    ]
    table(f"Benchmark Report 0.2 in {REPORT}", ("STAGE>", "WATTS>", "J/REQUEST>", "SOURCE"), rows)
    return [Bar("Benchmark Report: wrong reports", wrong, 0)]


def energy(profile: Path) -> Bar:
    """Compare the energy of a request above that of the idle server with its latency times its power."""
    points = [point for point in json.loads(profile.read_text())["points"] if point["valid"]]
    ratios = [
        (point["energy"]["joules_per_inference"]["total"]["mean"] - IDLE_WATTS / point["inferences_per_second"]["mean"])
        / (REQUEST_WATTS * point["mean_latency_seconds"]["mean"])
        for point in points
    ]
    name = "energy of a request, median difference from the truth"
    return Bar(name, abs(median(ratios) - 1), MOST_ENERGY_DIFFERENCE)


@contextmanager
def measured_server(home: Path, answers: Callable[[int, Any], Answer]) -> Iterator[tuple[ScriptedServer, Path]]:
    """Run a scripted server inside the block, and yield it with the /sys of the counter that it drives."""
    sysfs = Path(tempfile.mkdtemp(prefix="sys-", dir=home))
    counter = powercap_zone(sysfs, "intel-rapl:0", "package-0", 5_000_000) / "energy_uj"
    with ScriptedServer(answers, models=[MODEL], idle_watts=IDLE_WATTS, energy_file=counter) as server:
        yield server, sysfs


def scripted(home: Path, *, quick: bool) -> list[Bar]:
    """Prove all planners with the scripted server."""
    with measured_server(home, quickly) as (server, sysfs):
        bars = llm_d_planner(Proof(home, server.url, sysfs, quick))
    servers: list[ScriptedServer] = []
    with measured_server(home, lawful(lambda: servers[0])) as (server, sysfs):
        servers.append(server)
        proof = Proof(home, server.url, sysfs)
        if not quick:
            bars += dynamo(proof, proof.profile("dynamo", "--for", "dynamo"), "scripted")
        profile = proof.profile("wva", "--for", "wva")
    bars += wva(proof, profile, LAW) + benchmark_report(proof, profile) + [energy(profile)]
    if quick:
        return bars + focus(home, profile)
    generated = generated_profile(home)
    return bars + focus(home, profile, generated) + aiconfigurator(home, generated)


def llama(home: Path) -> list[Bar]:
    """Prove the planners that a small real server can feed, with one profile."""
    with serving(home, llama_command) as url:
        proof = Proof(home, url)
        profile = proof.profile("llama", *LLAMA)
    return dynamo(proof, profile, "llama") + wva(proof, profile, {}) + benchmark_report(proof, profile)


def main() -> None:
    """Measure, export and ask."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a short trial: one length of llm-d-planner, without Dynamo and AIConfigurator",
    )
    parser.add_argument("--server", choices=ASKED, default="scripted", help="the server under load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inferometer-proof-") as folder:
        home = Path(folder)
        (home / "tariff.toml").write_text(TARIFF)
        bars = llama(home) if options.server == "llama" else scripted(home, quick=options.quick)
    finish(CACHE / f"results/planners-{options.server}.json", {"quick": options.quick}, bars)
    if any(bar.verdict is not Verdict.MET for bar in bars):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
