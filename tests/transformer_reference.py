"""A transformer written down once more in NumPy, for one prompt at a time and without a cache."""

import math

import pytest

np = pytest.importorskip("numpy", reason="the onnx extra is not installed")
positions = pytest.importorskip("agent.workloads.transformer.positions", reason="the onnx extra is not installed")


def normed(x, scale):
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * scale


def feed_forward(spec, weights, suffix, rows):
    if spec.mlp == "plain":
        up = rows @ weights[f"up_{suffix}"]
        inner = np.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)(up)
    else:
        gate, up = np.split(rows @ weights[f"gate_up_{suffix}"], 2, axis=1)
        inner = gate / (1 + np.exp(-gate)) * up
    return inner @ weights[f"down_{suffix}"]


def mixture(spec, weights, layer, rows):
    """Each token by itself, through the experts that its router scores highest."""
    if spec.experts == 1:
        return feed_forward(spec, weights, str(layer), rows)
    found = np.zeros_like(rows)
    for number, scores in enumerate(rows @ weights[f"router_{layer}"]):
        best = sorted(range(spec.experts), key=lambda expert: -scores[expert])[: spec.active_experts]
        shares = np.exp([scores[expert] for expert in best])
        for expert, share in zip(best, shares / shares.sum(), strict=True):
            row = rows[number : number + 1]
            found[number] += share * feed_forward(spec, weights, f"{layer}_{expert}", row)[0]
    return found


def rotated(spec, part):
    half = spec.head_width // 2
    turned = (part[:, :half] + 1j * part[:, half:]) * np.exp(1j * positions.rotation_angles(len(part), spec.head_width))
    return np.concatenate([turned.real, turned.imag], axis=1)


def reference_outputs(spec, weights, ids):
    """The same model written down once more, for one prompt, without a cache: logits, or the mean of an encoder."""
    count, width = len(ids), spec.head_width
    stream = weights["embedding"][ids]
    if spec.positions == "learned":
        stream = stream + weights["positions"][:count]
    for layer in range(spec.layers):
        joined = normed(stream, weights[f"norm_a_{layer}"]) @ weights[f"qkv_{layer}"]
        heads = [joined[:, start : start + width] for start in range(0, joined.shape[1], width)]
        seen = []
        for head in range(spec.heads):
            shared = head * spec.kv_heads // spec.heads
            query, key, value = heads[head], heads[spec.heads + shared], heads[spec.heads + spec.kv_heads + shared]
            if spec.positions == "rope":
                query, key = rotated(spec, query), rotated(spec, key)
            allowed = np.tri(count, dtype=bool) | (spec.kind == "encoder")
            scores = np.where(allowed, query @ key.T / np.sqrt(width), -np.inf)
            shares = np.exp(scores - scores.max(1, keepdims=True))
            seen.append(shares / shares.sum(1, keepdims=True) @ value)
        stream = stream + np.concatenate(seen, axis=1) @ weights[f"attention_out_{layer}"]
        stream = stream + mixture(spec, weights, layer, normed(stream, weights[f"norm_f_{layer}"]))
    last = normed(stream, weights["norm_out"])
    if spec.kind == "encoder":
        return last.mean(axis=0)
    return last[-1] @ (weights["embedding"].T if spec.tied else weights["head"])
