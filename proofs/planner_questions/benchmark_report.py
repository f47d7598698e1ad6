"""Validates the Benchmark Reports of an export with the models that inference-perf contains, and prints their figures.

Argument: the folder of the export. The models are loaded without the load generator around them.
"""

import importlib
import json
import sys
import types
from importlib.metadata import distribution
from pathlib import Path

place = distribution("inference-perf").locate_file("inference_perf/reportgen/br/v0_2")
package = types.ModuleType("report_models")
package.__path__ = [str(place)]
sys.modules["report_models"] = package
models = importlib.import_module("report_models.schema_v0_2")

found = []
for path in sorted(Path(sys.argv[1]).glob("*.json")):
    report = models.BenchmarkReportV02(**json.loads(path.read_text()))
    component = report.results.observability.components[0]
    found.append(
        {
            "version": report.version,
            "units": str(component.aggregate.power_consumption.units),
            "watts": component.aggregate.power_consumption.mean,
            "power_source": report.results.observability.model_extra["power_source"],
            "joules_per_request": report.results.profiling["inferometer"]["energy"]["joules_per_request"]["mean"],
            "requests_per_second": report.results.request_performance.aggregate.throughput.request_rate.mean,
            "machine": report.scenario.stack[1].standardized.kind,
        }
    )
print(json.dumps(found))
