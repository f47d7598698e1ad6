"""Writes a transformer as the folder that ONNX Runtime GenAI loads: configuration, ONNX model, weights."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import onnx

from agent.workloads.transformer.onnx_decoder import build_decoder
from agent.workloads.transformer.onnx_weights import write_weights

if TYPE_CHECKING:
    from pathlib import Path

    from agent.workloads.engine_spec import EngineSpec
    from agent.workloads.transformer.spec import TransformerSpec

_MODEL = "model.onnx"
_NEVER = -1e30


def write_folder(spec: TransformerSpec, engine: EngineSpec, folder: Path) -> None:
    """Write the decoder of a spec, in its precision, with the settings of an engine spec. Raises OSError, MemoryError.

    The model is that of ONNX Runtime, but GenAI expects the scores as [batch, 1, vocabulary], and a token that ends a
    request. The vocabulary therefore has one more token, which no request writes.
    """
    graph = build_decoder(spec)
    model = onnx.load_from_string(graph.serialized())
    _add_end_to_logits(model.graph, spec.vocabulary)
    write_weights(model, graph, folder)
    onnx.save_model(model, folder / _MODEL)
    (folder / "genai_config.json").write_text(json.dumps(configuration(spec, engine)), encoding="utf-8")


def configuration(spec: TransformerSpec, engine: EngineSpec) -> dict[str, Any]:
    """Return the configuration: greedy, and the last token of the vocabulary is the one that would end a request."""
    devices: list[Any] = [{"cuda": {}}] if engine.device == "cuda" else []
    return {
        "model": {
            "type": "llama",
            "context_length": spec.context_tokens,
            "vocab_size": spec.vocabulary + 1,
            "bos_token_id": spec.vocabulary,
            "eos_token_id": spec.vocabulary,
            "pad_token_id": spec.vocabulary,
            "decoder": {
                "filename": _MODEL,
                "session_options": {"intra_op_num_threads": engine.threads, "provider_options": devices},
                "hidden_size": spec.width,
                "head_size": spec.head_width,
                "num_attention_heads": spec.heads,
                "num_key_value_heads": spec.kv_heads,
                "num_hidden_layers": spec.layers,
                "inputs": {
                    "input_ids": "input_ids",
                    "past_key_names": "past_key_%d",
                    "past_value_names": "past_value_%d",
                },
                "outputs": {
                    "logits": "logits",
                    "present_key_names": "present_key_%d",
                    "present_value_names": "present_value_%d",
                },
            },
        },
        "search": {"do_sample": False, "num_beams": 1, "past_present_share_buffer": False},
    }


def _add_end_to_logits(graph: Any, vocabulary: int) -> None:
    """Give the scores [batch, vocabulary] an axis for the position, and a last token that is never the likeliest."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = ["scores" if name == "logits" else name for name in names]
    integers, floats = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
    graph.initializer.extend(
        [
            onnx.helper.make_tensor("one_column_after", integers, [4], [0, 0, 0, 1]),
            onnx.helper.make_tensor("never", floats, [], [_NEVER]),
            onnx.helper.make_tensor("position_axis", integers, [1], [1]),
        ]
    )
    graph.node.extend(
        [
            onnx.helper.make_node("Pad", ["scores", "one_column_after", "never"], ["scores_and_end"]),
            onnx.helper.make_node("Unsqueeze", ["scores_and_end", "position_axis"], ["logits"]),
        ]
    )
    place = next(place for place, each in enumerate(graph.output) if each.name == "logits")
    shape = ["batch", 1, vocabulary + 1]
    graph.output[place].CopyFrom(onnx.helper.make_tensor_value_info("logits", floats, shape))
