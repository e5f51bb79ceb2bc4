"""Make a compact copy of an embedding model: int8 weights in the file, fp32 arithmetic.

    python models/compact.py SOURCE DEST [--block N] [--table-block N] [--half REGEX]

SOURCE is a folder as Hugging Face and sentence-transformers lay it out, with an fp32
`onnx/model.onnx` or `model.onnx`. DEST gets the same layout: the configuration and the tokenizer
byte for byte, and `onnx/model.onnx` at about a quarter of the size.

Three things happen to the weights; nothing else in the graph changes:

- A matrix becomes int8 with one fp16 scale per block of `--block` values, and a DequantizeLinear
  turns it back to fp32. Its inputs are constants, so ONNX Runtime computes it once, at load, if the
  session has `session.disable_quant_qdq` set to '1'. Without that option the runtime fuses the node
  into an 8-bit product, which is slower for batches and less exact.
- A lookup table (word and position embeddings) stays int8 in memory too. The graph gathers the
  int8 rows and the scales of the tokens at hand and turns only these into fp32.
- A matrix that `--half` matches becomes fp16. The default is the value projections of attention:
  their error reaches the output undamped, and they are few.

The same source bytes give the same output bytes.
"""

import argparse
import math
import re
import sys
from pathlib import Path

import numpy as np
import onnx
from folder import SourceError, read_model, write_folder
from onnx import TensorProto, helper, numpy_helper, version_converter

# The first opset whose DequantizeLinear takes a scale per block, and the file format it belongs to.
BLOCKED_OPSET = 21
BLOCKED_IR_VERSION = 10

# Smaller tensors are a rounding error in the file size, and often the sensitive ones.
WEIGHT_SIZE_MIN = 16_384

# A smaller block costs more in scales than int8 saves.
BLOCK_MIN = 8

# Names that exporters give to the value projection of BERT, MPNet, DistilBERT, T5 and others.
VALUE_PROJECTIONS = r"(^|[./_])(value|v_proj|v_lin|SelfAttention[./]v)([./]|$)"

# Steps of the scale search as shares of the scale that just reaches the block's largest value.
SCALE_SHARES = np.linspace(0.70, 1.05, 64, dtype=np.float32)


def quantise(weight, axis, block):
    """Return int8 codes shaped like `weight`, and fp16 scales with `axis` shortened by `block`.

    Among SCALE_SHARES each block takes the scale with the smallest squared error: clipping the one
    largest value a little often serves the other values of the block better.
    """
    moved = np.moveaxis(weight, axis, 0)
    count = moved.shape[0] // block
    # Block positions come first, so that sums over a block add whole rows, in order. A sum along
    # the last axis is grouped as the processor's vector width suggests and may differ in its bits.
    blocks = moved.reshape(count, block, -1).transpose(1, 0, 2).reshape(block, -1)

    codes = np.empty(blocks.shape, np.int8)
    scales = np.empty(blocks.shape[1], np.float16)
    step = max(1, 1_000_000 // block)  # Bounds the memory of the search, not its result.
    for start in range(0, blocks.shape[1], step):
        part = np.ascontiguousarray(blocks[:, start : start + step])
        codes[:, start : start + step], scales[start : start + step] = quantise_columns(part)

    codes = codes.reshape(block, count, -1).transpose(1, 0, 2).reshape(moved.shape)
    scales = scales.reshape(count, *moved.shape[1:])
    return (
        np.ascontiguousarray(np.moveaxis(codes, 0, axis)),
        np.ascontiguousarray(np.moveaxis(scales, 0, axis)),
    )


def quantise_columns(values):
    """Quantise each column of a 2-D array with its own scale: (int8 codes, fp16 scales)."""
    largest = np.abs(values).max(axis=0)
    best_error = np.full(values.shape[1], np.inf, np.float32)
    best_scale = np.ones(values.shape[1], np.float16)
    for share in SCALE_SHARES:
        # Judge the scale as it will be stored: fp16 rounding is part of the choice.
        scale = (largest / np.float32(127) * share).astype(np.float16)
        scale[scale == 0] = 1
        restored = encode(values, scale) * scale.astype(np.float32)
        error = np.square(restored - values).sum(axis=0)
        better = error < best_error
        best_error[better] = error[better]
        best_scale[better] = scale[better]
    return encode(values, best_scale).astype(np.int8), best_scale


def encode(values, scale):
    """The whole numbers, still as fp32, that stand for `values` under fp16 `scale`."""
    return np.clip(np.rint(values / scale.astype(np.float32)), -128, 127)


def consumers_by_input(graph):
    """Map each tensor name to the (node, input position) pairs that read it."""
    consumers = {}
    for node in graph.node:
        for position, name in enumerate(node.input):
            consumers.setdefault(name, []).append((node, position))
    return consumers


def attribute(node, name, default):
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def is_lookup(node, position):
    return node.op_type == "Gather" and position == 0 and attribute(node, "axis", 0) == 0


def is_product(node, position):
    """Transpose counts: it is how tied tables and some exports reach their MatMul."""
    return node.op_type in ("MatMul", "Gemm", "Transpose") or is_lookup(node, position)


def is_weight(tensor, readers):
    """Masks and other big constants are no weights: only lookups and products may read one."""
    return (
        tensor.data_type == TensorProto.FLOAT
        and len(tensor.dims) == 2
        and math.prod(tensor.dims) >= WEIGHT_SIZE_MIN
        and bool(readers)
        and all(is_product(node, position) for node, position in readers)
    )


def fits_half(values, divisor=1):
    return bool(np.isfinite(values).all()) and np.abs(values).max() / divisor < np.finfo(np.float16).max


class Compactor:
    """Rewrites the weights of one graph in place."""

    def __init__(self, graph, block, table_block, half):
        self.graph = graph
        self.block = block
        self.table_block = table_block
        self.half = re.compile(half) if half else None
        self.counts = {"int8 matrices": 0, "int8 tables": 0, "fp16 matrices": 0}
        self.initializers = []
        self.restoring_nodes = []  # These run on constants alone, so they may all come first.
        self.lookup_nodes = {}  # Output name of a Gather -> the nodes that take its place.

    def run(self):
        consumers = consumers_by_input(self.graph)
        for tensor in self.graph.initializer:
            readers = consumers.get(tensor.name, [])
            if not is_weight(tensor, readers) or not self.compact(tensor, readers):
                self.initializers.append(tensor)

        nodes = list(self.restoring_nodes)
        for node in self.graph.node:
            nodes += self.lookup_nodes.get(node.output[0], [node])
        # Old exports list weights as inputs too. A caller could then replace them, so nothing would fold.
        weights = {tensor.name for tensor in self.graph.initializer}
        inputs = [each for each in self.graph.input if each.name not in weights]
        del self.graph.input[:]
        del self.graph.initializer[:]
        del self.graph.node[:]
        self.graph.input.extend(inputs)
        self.graph.initializer.extend(self.initializers)
        self.graph.node.extend(nodes)

    def compact(self, tensor, readers):
        """Return False to leave the weight as it is."""
        weight = numpy_helper.to_array(tensor)
        if all(is_lookup(node, position) for node, position in readers):
            return self.compact_table(tensor.name, weight, [node for node, _ in readers])
        names = [tensor.name, *(node.name for node, _ in readers)]
        if self.half and any(self.half.search(name) for name in names):
            return self.compact_half(tensor.name, weight)
        return self.compact_matrix(tensor.name, weight, readers)

    def compact_half(self, name, weight):
        if not fits_half(weight):
            return False
        self.add(f"{name}_half", weight.astype(np.float16))
        self.restoring_nodes.append(cast(f"{name}_half", name))
        self.counts["fp16 matrices"] += 1
        return True

    def compact_matrix(self, name, weight, readers):
        # Blocks run along the axis that the product sums over.
        axis = 0 if all(node.op_type == "MatMul" and position == 1 for node, position in readers) else 1
        block = math.gcd(weight.shape[axis], self.block)
        if block < BLOCK_MIN or not fits_half(weight, 127):
            return False
        codes, scales = quantise(weight, axis, block)
        self.add(f"{name}_codes", codes)
        self.add(f"{name}_scales", scales)
        self.restoring_nodes += [
            cast(f"{name}_scales", f"{name}_scales_fp32"),
            helper.make_node(
                "DequantizeLinear",
                [f"{name}_codes", f"{name}_scales_fp32"],
                [name],
                name=f"{name}_restore",
                axis=axis,
                block_size=block,
            ),
        ]
        self.counts["int8 matrices"] += 1
        return True

    def compact_table(self, name, weight, gathers):
        width = weight.shape[1]
        block = math.gcd(width, self.table_block)
        if block < BLOCK_MIN or not fits_half(weight, 127):
            return False
        codes, scales = quantise(weight, 1, block)
        # Scales broadcast over the last axis: [rows, blocks, block] times [rows, blocks, 1].
        self.add(f"{name}_codes", codes.reshape(-1, width // block, block))
        self.add(f"{name}_scales", scales.reshape(-1, width // block, 1))
        self.add(f"{name}_width", np.array([width], np.int64))
        for gather in gathers:
            self.lookup_nodes[gather.output[0]] = lookup_nodes(name, gather.input[1], gather.output[0])
        self.counts["int8 tables"] += 1
        return True

    def add(self, name, values):
        self.initializers.append(numpy_helper.from_array(values, name))


def cast(source, target):
    return helper.make_node("Cast", [source], [target], name=f"{target}_cast", to=TensorProto.FLOAT)


def lookup_nodes(table, indices, output):
    """Nodes that look up int8 rows and their scales, and multiply them into fp32 rows."""
    codes, scales = f"{output}_codes", f"{output}_scales"

    def node(op_type, inputs, result, **attributes):
        return helper.make_node(op_type, inputs, [result], name=f"{result}_node", **attributes)

    return [
        node("Gather", [f"{table}_codes", indices], codes),
        node("Gather", [f"{table}_scales", indices], scales),
        cast(codes, f"{codes}_fp32"),
        cast(scales, f"{scales}_fp32"),
        node("Mul", [f"{codes}_fp32", f"{scales}_fp32"], f"{output}_blocks"),
        # The shape comes from the indices, so this holds for indices of any rank.
        node("Shape", [indices], f"{output}_indices_shape"),
        node("Concat", [f"{output}_indices_shape", f"{table}_width"], f"{output}_shape", axis=0),
        node("Reshape", [f"{output}_blocks", f"{output}_shape"], output),
    ]


def raise_opset(model):
    """Return `model` at BLOCKED_OPSET or above."""
    if all(entry.domain not in ("", "ai.onnx") or entry.version >= BLOCKED_OPSET for entry in model.opset_import):
        return model
    try:
        raised = version_converter.convert_version(model, BLOCKED_OPSET)
    except Exception as error:  # The converter raises plain RuntimeError for most causes.
        raise SourceError(
            f"the model cannot be raised to opset {BLOCKED_OPSET}; export it at that opset or above: {error}"
        ) from error
    raised.ir_version = max(raised.ir_version, BLOCKED_IR_VERSION)
    # The converter records the shape of every value. With them ONNX Runtime chooses other fusions
    # (SkipLayerNormalization), and BERT models run 5 to 8 % slower on a CPU.
    del raised.graph.value_info[:]
    raised.graph.value_info.extend(model.graph.value_info)
    return raised


def compact_model(model, block, table_block, half):
    """Return the compact model and what was done, as {kind: count}."""
    model = raise_opset(model)
    compactor = Compactor(model.graph, block, table_block, half)
    compactor.run()
    if not any(compactor.counts.values()):
        raise SourceError("the model has no large fp32 weights; is it quantised or compact already?")
    onnx.checker.check_model(model)
    return model, compactor.counts


def compact_folder(source, dest, block, table_block, half):
    model, counts = compact_model(read_model(source, dest), block, table_block, half)
    target = write_folder(source, dest, model)
    done = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB ({done})")


def block_size(text):
    value = int(text)
    if value < BLOCK_MIN:
        raise argparse.ArgumentTypeError(f"must be {BLOCK_MIN} or more")
    return value


def regex(text):
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"is not a regular expression: {error}") from error
    return text


def parse_arguments(arguments):
    parser = argparse.ArgumentParser(
        description="Make a compact copy of an embedding model: int8 weights in the file, fp32 arithmetic.",
        epilog="Open the result with the ONNX Runtime session option session.disable_quant_qdq set to '1'.",
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="model folder with onnx/model.onnx or model.onnx")
    parser.add_argument("dest", metavar="DEST", type=Path, help="folder to write; its other files stay")
    parser.add_argument(
        "--block",
        metavar="N",
        type=block_size,
        default=16,
        help="values of a matrix that share a scale (default %(default)s); fewer are more exact and larger",
    )
    parser.add_argument(
        "--table-block",
        metavar="N",
        type=block_size,
        default=64,
        help="values of a row of a lookup table that share a scale (default %(default)s)",
    )
    parser.add_argument(
        "--half",
        metavar="REGEX",
        type=regex,
        default=VALUE_PROJECTIONS,
        help="keep matrices in fp16 whose own name or reading node's name matches; '' for none "
        "(default: the value projections of attention)",
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    options = parse_arguments(arguments)
    try:
        compact_folder(options.source, options.dest, options.block, options.table_block, options.half)
    except (SourceError, OSError) as error:
        sys.exit(f"compact.py: {error}")


if __name__ == "__main__":
    main()
