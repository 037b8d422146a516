"""A GGUF file of Llama's architecture (F32, or any type that the gguf package reads) as an ONNX decoder with a key/value cache, as ONNX Runtime runs language
models best: GroupQueryAttention with rotary embedding, SimplifiedLayerNormalization. Development only.

    python3 onnx_decoder.py MODEL.gguf OUT.onnx f32|int8|nbits8     (pip install onnx gguf numpy)

f32     weights as they are
int8    weights of matrices int8, a scale per column, rows of numbers quantised as they come: what transformers.js calls q8
nbits8  weights of matrices in blocks of 32 of 8 bits (MatMulNBits)

Inputs: input_ids [1, n] i64, seqlens_k [1] i32 (all tokens so far, less one), total_sequence_length [] i32, past_key_values.L.key and .value
[1, kvHeads, past, headSize] f32. Outputs: token [1, 1] i64, the likeliest behind the last, and present.L.key and .value. Taking the likeliest
within the graph saves copying logits out, and only the last position has any: both favour this peer.
"""

import sys

import numpy as np
import onnx
from gguf import GGUFReader
from gguf.quants import dequantize
from onnx import TensorProto, helper, numpy_helper

MICROSOFT = "com.microsoft"


def read(path):
    reader = GGUFReader(path)
    tensors = {t.name: dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}
    architecture = reader.fields["general.architecture"].contents()
    if architecture != "llama":
        raise SystemExit(f"{path} is of architecture {architecture}; only llama is known here")

    def value(key, otherwise=None):
        field = reader.fields.get(f"llama.{key}")
        return otherwise if field is None else field.contents()

    heads = value("attention.head_count")
    shape = {
        "layers": value("block_count"),
        "width": value("embedding_length"),
        "heads": heads,
        "kv_heads": value("attention.head_count_kv", heads),
        "context": value("context_length"),
        "epsilon": value("attention.layer_norm_rms_epsilon"),
        "base": value("rope.freq_base", 10000.0),
    }
    shape["head_size"] = shape["width"] // heads
    return tensors, shape


class Graph:
    def __init__(self, weights):
        self.weights = weights
        self.nodes, self.constants, self.count = [], [], 0
        self.quantised = {}

    def add(self, kind, inputs, outputs=1, domain="", **attributes):
        self.count += 1
        names = [f"{kind}_{self.count}_{k}" for k in range(outputs)] if isinstance(outputs, int) else outputs
        self.nodes.append(helper.make_node(kind, inputs, names, domain=domain, name=f"{kind}_{self.count}", **attributes))
        return names[0] if len(names) == 1 else names

    def constant(self, name, array):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def product(self, x, name, weight):
        """x times the transpose of `weight` [out, in]."""
        outer, inner = weight.shape
        if self.weights == "f32":
            return self.add("MatMul", [x, self.constant(name, weight.T)])
        if self.weights == "nbits8":
            blocks = weight.reshape(outer, inner // 32, 32)
            scales = np.maximum(np.abs(blocks).max(axis=2), 1e-12) / 127
            q = np.clip(np.rint(blocks / scales[..., None]), -127, 127) + 128
            packed = self.constant(name, q.astype(np.uint8))
            factors = self.constant(f"{name}.scales", scales.astype(np.float32).reshape(outer, -1))
            return self.add(
                "MatMulNBits", [x, packed, factors], domain=MICROSOFT, K=inner, N=outer, bits=8, block_size=32, accuracy_level=4
            )
        if x not in self.quantised:
            self.quantised[x] = self.add("DynamicQuantizeLinear", [x], 3)
        q, scale, zero = self.quantised[x]
        scales = np.maximum(np.abs(weight).max(axis=1), 1e-12) / 127
        packed = self.constant(name, np.clip(np.rint(weight / scales[:, None]), -127, 127).astype(np.int8).T)
        zeros = self.constant(f"{name}.zero", np.zeros(outer, np.int8))
        factors = self.add("Mul", [scale, self.constant(f"{name}.scales", scales.astype(np.float32))])
        whole = self.add("MatMulInteger", [q, packed, zero, zeros])
        return self.add("Mul", [self.add("Cast", [whole], to=TensorProto.FLOAT), factors])


def build(tensors, shape, weights):
    g = Graph(weights)
    heads, kv_heads, size = shape["heads"], shape["kv_heads"], shape["head_size"]
    angles = np.outer(np.arange(shape["context"]), shape["base"] ** (-np.arange(0, size, 2) / size))
    cos = g.constant("cos", np.cos(angles).astype(np.float32))
    sin = g.constant("sin", np.sin(angles).astype(np.float32))
    norm = dict(axis=-1, epsilon=float(shape["epsilon"]), stash_type=1)
    table = tensors["token_embd.weight"]
    x = g.add("Gather", [g.constant("token_embd", table), "input_ids"], axis=0)
    inputs = [
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "n"]),
        helper.make_tensor_value_info("seqlens_k", TensorProto.INT32, [1]),
        helper.make_tensor_value_info("total_sequence_length", TensorProto.INT32, []),
    ]
    outputs = [helper.make_tensor_value_info("token", TensorProto.INT64, [1, 1])]
    for layer in range(shape["layers"]):
        of = lambda name: tensors[f"blk.{layer}.{name}.weight"]
        named = lambda name: f"blk.{layer}.{name}"
        h = g.add("SimplifiedLayerNormalization", [x, g.constant(named("attn_norm"), of("attn_norm"))], **norm)
        q, k, v = (g.product(h, named(name), of(name)) for name in ("attn_q", "attn_k", "attn_v"))
        past = [f"past_key_values.{layer}.{name}" for name in ("key", "value")]
        present = [f"present.{layer}.{name}" for name in ("key", "value")]
        attended = g.add(
            "GroupQueryAttention",
            [q, k, v, *past, "seqlens_k", "total_sequence_length", cos, sin],
            [named("attended"), *present],
            domain=MICROSOFT,
            num_heads=heads,
            kv_num_heads=kv_heads,
            do_rotary=1,
            # GGUF has Llama's queries and keys in pairs of neighbours.
            rotary_interleaved=1,
        )[0]
        x = g.add("Add", [x, g.product(attended, named("attn_output"), of("attn_output"))])
        h = g.add("SimplifiedLayerNormalization", [x, g.constant(named("ffn_norm"), of("ffn_norm"))], **norm)
        gate, up = (g.product(h, named(name), of(name)) for name in ("ffn_gate", "ffn_up"))
        silu = g.add("Mul", [gate, g.add("Sigmoid", [gate])])
        x = g.add("Add", [x, g.product(g.add("Mul", [silu, up]), named("ffn_down"), of("ffn_down"))])
        for name in past:
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, kv_heads, "past", size]))
        for name in present:
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, kv_heads, "total", size]))
    last = g.add("Gather", [x, g.constant("last", np.array([-1], np.int64))], axis=1)
    h = g.add("SimplifiedLayerNormalization", [last, g.constant("output_norm", tensors["output_norm.weight"])], **norm)
    logits = g.product(h, "output", tensors.get("output.weight", table))
    g.add("ArgMax", [logits], ["token"], axis=-1, keepdims=0)
    graph = helper.make_graph(g.nodes, "decoder", inputs, outputs, g.constants)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=versions, ir_version=9)


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in ("f32", "int8", "nbits8"):
        raise SystemExit(__doc__)
    tensors, shape = read(sys.argv[1])
    onnx.save(build(tensors, shape, sys.argv[3]), sys.argv[2])


main()
