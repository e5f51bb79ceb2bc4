"""Make a copy of an embedding model whose rows may hold several texts.

    python models/pack.py SOURCE DEST

SOURCE is a folder as Hugging Face and sentence-transformers lay it out, with `onnx/model.onnx` or `model.onnx`.
DEST gets the same layout; only the graph differs.

A batch of short texts is usually padded to its longest. The graph made here takes rows that hold one text after
another instead, so that hardly anything is padded: "sequence packing" (Krell et al., "Efficient Sequence Packing
without Cross-contamination", 2021). Its inputs keep their names, types and shapes, but `attention_mask` may count:
tokens of a row with the same number are one text, and 0 is padding. A mask of zeros and ones, one text a row, means
what it always meant. The second dimension of the inputs is then called `packed_sequence_length`, by which a program
knows such a graph.

Two things in the graph change:

- What is added to the scores of attention before Softmax: instead of "is the key padding" it asks "do key and query
  have the same number". So no text sees another. Biases by relative position stay right by themselves.
- The positions that a table of absolute positions is asked for: they count from each text's first token.

The result is checked before it is written: three texts in one row must give the vectors that each gives alone, and a
long text the vectors that SOURCE gives, whose bias may hold more than the mask: relative positions, or a window.
"""

import argparse
import copy
import sys
from pathlib import Path

import numpy as np
import onnx
from folder import SourceError, read_model, write_folder
from onnx import TensorProto, helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

PACKED_DIMENSION = "packed_sequence_length"

# What the bias is where one token must not see another, by the type of the scores.
BLOCKED = {TensorProto.FLOAT: np.finfo(np.float32).min, TensorProto.FLOAT16: np.finfo(np.float16).min}

# Rounding differs with the order of sums; a wrong mask or position is off by far more.
DIFFERENCE_MAX = 1e-3
# Windows of attention are shorter.
TEXT_TOKENS_MAX = 512


class Graph:
    """Who makes and who reads each tensor of an ONNX graph."""

    def __init__(self, graph):
        self.graph = graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.inputs = {each.name for each in graph.input} - set(self.initializers)
        self.producers = {output: node for node in graph.node for output in node.output}

    def nodes(self, op_type):
        return [node for node in self.graph.node if node.op_type == op_type]

    def sources(self, name):
        """Return the nodes and the inputs whose values reach tensor `name`; a Shape passes no values on."""
        nodes, inputs, seen, open_names = [], set(), set(), [name]
        while open_names:
            current = open_names.pop()
            if current in seen:
                continue
            seen.add(current)
            if current in self.inputs:
                inputs.add(current)
            node = self.producers.get(current)
            if node is None:
                continue
            nodes.append(node)
            if node.op_type != "Shape":
                open_names += node.input
        return nodes, inputs

    def constant(self, name):
        """Return the value of a constant, or None."""
        if name in self.initializers:
            return numpy_helper.to_array(self.initializers[name])
        node = self.producers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        return next((numpy_helper.to_array(each.t) for each in node.attribute if each.name == "value"), None)


def attention_biases(graph):
    """Names of the tensors that are added to the scores of attention and carry the mask."""
    softmaxes = graph.nodes("Softmax")
    if not softmaxes:
        raise SourceError("the graph has no Softmax; its attention is fused, or it has none")
    return {attention_bias(graph, node) for node in softmaxes}


def attention_bias(graph, softmax):
    scores = graph.producers.get(softmax.input[0])
    for name in scores.input if scores is not None and scores.op_type == "Add" else ():
        if graph.sources(name)[1] == {"attention_mask"}:
            return name
    raise SourceError(f"the scores of {softmax.name or softmax.output[0]} are not masked by adding a bias")


def absolute_positions(graph):
    """Names of the tensors that say which rows of a table of positions are read."""
    names = set()
    for node in graph.nodes("Gather"):
        nodes, inputs = graph.sources(node.input[1])
        if "input_ids" in inputs and node.input[1] != "input_ids":
            raise SourceError("the graph makes positions out of token ids")
        if not inputs and reads_table(graph, node) and any(counts_up(graph, each) for each in nodes):
            names.add(node.input[1])
    return names


def reads_table(graph, gather):
    table = graph.constant(gather.input[0])
    return table is not None and table.ndim >= 2


def counts_up(graph, node):
    """Does it read 0, 1, 2, … or make it?"""
    if node.op_type == "Range":
        return True
    values = [graph.constant(name) for name in [*node.input, *node.output]]
    return any(each is not None and each.size > 1 and (each.ravel() == np.arange(each.size)).all() for each in values)


class Packer:
    """Adds the nodes that tell texts apart."""

    def __init__(self, model):
        self.model = model
        self.graph = Graph(model.graph)
        self.nodes = []

    def run(self):
        if "attention_mask" not in self.graph.inputs or "position_ids" in self.graph.inputs:
            raise SourceError("the graph must take an attention_mask and no position_ids")
        if PACKED_DIMENSION in str(self.model.graph.input):
            raise SourceError("the graph's rows hold several texts already")
        biases = attention_biases(self.graph)
        positions = absolute_positions(self.graph)
        same = self.same_text()
        for name in biases:
            self.replace(name, self.bias(same, self.element_type(name)))
        if positions:
            counted = self.positions(same)
            for name in positions:
                self.replace(name, counted)
        self.finish()

    def add(self, op_type, inputs, output, **attributes):
        output = f"packed/{output}"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name=output, **attributes))
        return output

    def number(self, name, value):
        name = f"packed/{name}"
        if name not in self.graph.initializers:
            self.graph.initializers[name] = numpy_helper.from_array(np.array(value), name)
            self.model.graph.initializer.append(self.graph.initializers[name])
        return name

    def same_text(self):
        """[rows, tokens, tokens]: do the two tokens have the same number?"""
        queries = self.add("Unsqueeze", ["attention_mask", self.number("last", np.int64([2]))], "queries")
        keys = self.add("Unsqueeze", ["attention_mask", self.number("middle", np.int64([1]))], "keys")
        return self.add("Equal", [queries, keys], "same_text")

    def bias(self, same, element_type):
        """[rows, 1, tokens, tokens]: zero where a token may look, else what makes Softmax give zero."""
        kind = helper.tensor_dtype_to_np_dtype(element_type)
        heads = self.add("Unsqueeze", [same, self.number("middle", np.int64([1]))], "same_text_of_heads")
        seen, blocked = self.number("seen", kind.type(0)), self.number("blocked", kind.type(BLOCKED[element_type]))
        return self.add("Where", [heads, seen, blocked], "bias")

    def positions(self, same):
        """[rows, tokens]: how many tokens of the same text stand before each."""
        numbers = self.add("Cast", [same], "same_text_number", to=TensorProto.FLOAT)
        # Of equal values ArgMax takes the first: that is where the text begins.
        first = self.add("ArgMax", [numbers], "first", axis=2, keepdims=0)
        shape = self.add("Shape", ["attention_mask"], "tokens_shape", start=1)
        tokens = self.add("Squeeze", [shape], "tokens")
        places = [self.number("zero", np.int64(0)), tokens, self.number("one", np.int64(1))]
        return self.add("Sub", [self.add("Range", places, "place"), first], "positions")

    def element_type(self, name):
        inferred = shape_inference.infer_shapes(self.model)
        found = [each.type.tensor_type.elem_type for each in inferred.graph.value_info if each.name == name]
        if found[:1] and found[0] in BLOCKED:
            return found[0]
        raise SourceError(f"{name}, which masks attention, is neither float32 nor float16")

    def replace(self, old, new):
        for node in self.model.graph.node:
            for i, name in enumerate(node.input):
                if name == old:
                    node.input[i] = new

    def finish(self):
        graph = self.model.graph
        wanted = {output.name for output in graph.output}
        kept = []
        for node in reversed([*self.nodes, *graph.node]):
            if wanted.intersection(node.output):
                wanted.update(node.input)
                kept.append(node)
        kept.reverse()
        ours = {node.name for node in self.nodes}
        if any("attention_mask" in node.input and node.name not in ours for node in kept):
            raise SourceError("the graph uses its mask for more than attention; does it pool by itself?")
        initializers = [tensor for tensor in graph.initializer if tensor.name in wanted]
        for field, values in (("node", kept), ("initializer", initializers)):
            graph.ClearField(field)
            getattr(graph, field).extend(values)
        # Shapes recorded for the old graph no longer hold.
        graph.ClearField("value_info")
        old = next(each for each in graph.input if each.name == "attention_mask").type.tensor_type.shape.dim[1].dim_param
        for value in [*graph.input, *graph.output]:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param == old and old:
                    dimension.dim_param = PACKED_DIMENSION


class Runner:
    """Runs one row of tokens."""

    def __init__(self, model):
        self.kinds = {each.name: helper.tensor_dtype_to_np_dtype(each.type.tensor_type.elem_type) for each in model.graph.input}
        try:
            self.evaluator = ReferenceEvaluator(model)
        except RuntimeError as error:
            raise SourceError(f"the graph cannot be run to check it: {error}") from error

    def __call__(self, ids, mask):
        feeds = {"input_ids": ids, "attention_mask": mask}
        tensors = {name: np.array([feeds.get(name, [0] * len(ids))], kind) for name, kind in self.kinds.items()}
        return self.evaluator.run(None, tensors)[0][0]


def check(model, source):
    """Compare three texts in one row, and padding after them, with each of them alone, and a long text with `source`."""
    run = Runner(model)
    lengths = (5, 2, 9)
    random = np.random.default_rng(7)
    ids = random.integers(5, vocabulary_size(model), sum(lengths))
    padding = [0, 0, 0]
    numbers = [number for number, length in enumerate(lengths, 1) for _ in range(length)]
    packed = run([*ids, *padding], [*numbers, *padding])
    start = 0
    for length in lengths:
        alone = run(ids[start : start + length], [1] * length)
        difference = np.abs(packed[start : start + length] - alone).max()
        if not difference <= DIFFERENCE_MAX:
            raise SourceError(f"a text in a row with others differs from itself alone by {difference:.3g}")
        start += length
    tokens = text_tokens(model)
    ids = random.integers(5, vocabulary_size(model), tokens)
    difference = np.abs(run(ids, [1] * tokens) - Runner(source)(ids, [1] * tokens)).max()
    if not difference <= DIFFERENCE_MAX:
        raise SourceError(f"a text of {tokens} tokens differs from what it was before by {difference:.3g}")


def text_tokens(model):
    """Half as many as there are positions, since some graphs leave the first ones out, and no more than make the check long."""
    graph = Graph(model.graph)
    tables = [graph.constant(node.input[0]) for node in graph.nodes("Gather") if node.input[1] == "packed/positions"]
    return min([TEXT_TOKENS_MAX, *(len(table) // 2 for table in tables if table is not None)])


def vocabulary_size(model):
    graph = Graph(model.graph)
    tables = [graph.constant(node.input[0]) for node in graph.nodes("Gather") if node.input[1] == "input_ids"]
    return min((len(table) for table in tables if table is not None), default=1000)


def pack_model(model):
    """Change `model` in place; raise SourceError when it is not of the kind this script knows."""
    source = copy.deepcopy(model)
    Packer(model).run()
    onnx.checker.check_model(model)
    check(model, source)


def main():
    parser = argparse.ArgumentParser(description="Make a copy of an embedding model whose rows may hold several texts.")
    parser.add_argument("source", metavar="SOURCE", type=Path, help="model folder with onnx/model.onnx or model.onnx")
    parser.add_argument("dest", metavar="DEST", type=Path, help="folder to write; its other files stay")
    options = parser.parse_args()
    try:
        model = read_model(options.source, options.dest)
        pack_model(model)
        print(write_folder(options.source, options.dest, model))
    except (SourceError, OSError) as error:
        sys.exit(f"pack.py: {error}")


if __name__ == "__main__":
    main()
