"""The registry of tools whose results can be imported: one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.imports import aiperf, guidellm, inference_perf, llama_bench, vllm_bench
from agent.imports.records import ResultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.imports.records import ResultFile, Tool

TOOLS = (
    vllm_bench.TOOL,
    guidellm.TOOL,
    aiperf.TOOL,
    inference_perf.TOOL,
    llama_bench.TOOL,
)


def tool_of(files: Sequence[ResultFile]) -> Tool:
    """Return the tool that wrote the files, recognized by their content. Raises ResultError."""
    found = {file.name: next((tool for tool in TOOLS if tool.recognizes(file)), None) for file in files}
    for name, tool in found.items():
        if tool is None:
            known = ", ".join(each.name for each in TOOLS)
            remedy = "`inferometer profile import --help` names the file of each tool"
            raise ResultError(f"{name}: this is not a result of {known}: {remedy}")
    tools = {tool.name: tool for tool in found.values() if tool is not None}
    if len(tools) > 1:
        raise ResultError(f"these are results of {' and '.join(tools)}: import those of each tool on their own")
    return next(iter(tools.values()))
