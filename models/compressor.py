"""Make the demo tensor models: two versions of a multimodal compressor that really compresses.

    python models/compressor.py [DEST]

DEST (default: models/demo/compressor) gets `1.0` and `1.1`, each with model.onnx and manifest.json. The
network is a transform coder, so every figure that it reports can be checked against its own outputs:

- The image is cut into blocks of 8 x 8 (edges repeated), each transformed by an orthonormal DCT in zigzag
  order. Lidar, IMU and audio are scaled to -1..1 and transformed in lines.
- Coefficients are divided by a step that grows with the compression level, and rounded to integer codes.
- `compressed` is HEADER values, then all codes: with the version's constants, a decoder needs nothing else.
- A code costs what a real prefix code would spend: the place of the block's last code that is not zero, one
  bit for each code up to there, and sign and Elias gamma code of those that are not zero.
- The level is the highest of LEVEL_CHANGES around the wanted one whose estimated quality, by the error of
  the coefficients, reaches the target; the lowest where none does.

1.1 differs in the colour transform, in DC codes as differences from the block before, in rounding towards
zero (fewer bits for little error) and in decoding to where such values really lie.

The same script gives the same bytes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FEATURES = 8
LINE_BLOCK = 16
LEVEL_CHANGES = (-0.4, -0.3, -0.2, -0.15, -0.1, -0.05, 0.0, 0.02, 0.05)
LEVEL_MIN, LEVEL_MAX = 0.1, 1.0
QUALITY_DB = 50.0
MSE_MIN = 1e-5
# What the header costs: which parts there are, the level; then sizes and scales of those that are there.
FLAG_BITS, WORD_BITS = 8, 32

VERSIONS = {
    "1.0": {
        "colours": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "weights": (1.0, 1.0, 1.0),
        "differences": False,
        "rounding": 0.5,
        "shift": 0.0,
        "steps": (0.008, 3.6),
    },
    "1.1": {
        # Orthonormal, so that an error of the coefficients is the same error of the colours.
        "colours": [
            [3**-0.5, 3**-0.5, 3**-0.5],
            [2**-0.5, 0, -(2**-0.5)],
            [6**-0.5, -2 * 6**-0.5, 6**-0.5],
        ],
        "weights": (1.0, 1.0, 1.0),
        "differences": True,
        "rounding": 0.38,
        "shift": 0.05,
        "steps": (0.0073, 3.5),
    },
}
LINES = ("lidar", "imu", "audio")


def dct(size):
    """Orthonormal DCT-II: `values @ dct(size)` are the coefficients, lowest frequency first."""
    position = np.arange(size)[:, None] + 0.5
    frequency = np.arange(size)[None, :]
    basis = np.cos(np.pi * position * frequency / size) * np.sqrt(2 / size)
    basis[:, 0] = np.sqrt(1 / size)
    return basis


def zigzag_dct():
    """The 8 x 8 DCT of a flat block, its columns from low to high frequency as JPEG walks them."""

    def place(row, column):
        diagonal = row + column
        return diagonal, row if diagonal % 2 else column

    order = sorted(((row, column) for row in range(8) for column in range(8)), key=lambda at: place(*at))
    one = dct(8)
    return np.stack([np.outer(one[:, row], one[:, column]).reshape(64) for row, column in order], axis=1)


def bands(size):
    """Mean of the magnitudes in each of FEATURES bands of frequency."""
    matrix = np.zeros((size, FEATURES))
    for index in range(size):
        matrix[index, index * FEATURES // size] = 1
    return matrix / np.maximum(matrix.sum(axis=0), 1)


class Graph:
    """Nodes in order; each method returns the name of its result."""

    def __init__(self, constants=None, prefix=""):
        self.nodes = []
        self.constants = {} if constants is None else constants
        self.prefix = prefix

    def op(self, op_type, *inputs, output=None, **attributes):
        name = output or f"{self.prefix}v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [name], name=f"{name}_{op_type}", **attributes))
        return name

    def floats(self, values):
        return self.constant(np.asarray(values, np.float32))

    def ints(self, values):
        return self.constant(np.asarray(values, np.int64))

    def constant(self, array):
        key = (array.dtype.str, array.shape, array.tobytes())
        known = self.constants.setdefault(key, (f"c{len(self.constants)}", array))
        return known[0]

    def sum(self, value):
        """All of it, added up in double precision; 0 of nothing."""
        flat = self.op("Reshape", value, self.ints([-1]))
        double = self.op("Cast", flat, to=TensorProto.DOUBLE)
        padded = self.op("Concat", double, self.constant(np.zeros(1, np.float64)), axis=0)
        return self.op("ReduceSum", padded, keepdims=0)

    def dimension(self, value, axis):
        return self.op("Gather", self.op("Shape", value), self.ints(axis), axis=0)

    def shape(self, *parts):
        columns = [self.op("Reshape", part, self.ints([1])) for part in parts]
        return self.op("Concat", *columns, axis=0)

    def reshape(self, value, *parts):
        return self.op("Reshape", value, self.shape(*parts), allowzero=1)

    def to_float(self, value):
        return self.op("Cast", value, to=TensorProto.FLOAT)

    def padded(self, value, axis, length, block):
        """Its last entry repeated up to a multiple of `block`; and the number of blocks."""
        count = self.op("Div", self.op("Add", length, self.ints(block - 1)), self.ints(block))
        whole = self.op("Range", self.ints(0), self.op("Mul", count, self.ints(block)), self.ints(1))
        last = self.op("Sub", length, self.ints(1))
        return self.op("Gather", value, self.op("Min", whole, last), axis=axis), count


class Compressor:
    def __init__(self, spec):
        self.spec = spec
        self.g = Graph()

    def quantise(self, g, coefficients, step):
        """Integer codes, and the coefficients that a decoder makes of them."""
        magnitude = g.op("Div", g.op("Abs", coefficients), step)
        code = g.op("Floor", g.op("Add", magnitude, g.floats(self.spec["rounding"])))
        sign = g.op("Sign", coefficients)
        decoded = code
        if self.spec["shift"]:
            present = g.op("Min", code, g.floats(1))
            decoded = g.op("Sub", code, g.op("Mul", present, g.floats(self.spec["shift"])))
        return g.op("Mul", sign, code), g.op("Mul", g.op("Mul", sign, decoded), step)

    def step(self, g, level):
        base, growth = self.spec["steps"]
        return g.op("Mul", g.op("Exp", g.op("Mul", level, g.floats(growth))), g.floats(base))

    def image(self):
        g = self.g
        height, width = g.dimension("image", 0), g.dimension("image", 1)
        tall, rows = g.padded("image", 0, height, 8)
        whole, columns = g.padded(tall, 1, width, 8)
        colours = g.op("MatMul", g.op("Sub", whole, g.floats(0.5)), g.floats(np.array(self.spec["colours"]).T))
        cut = g.reshape(colours, rows, g.ints(8), columns, g.ints(8), g.ints(3))
        ordered = g.op("Transpose", cut, perm=[4, 0, 2, 1, 3])
        blocks = g.op("Mul", rows, columns)
        flat = g.reshape(ordered, g.ints(3), blocks, g.ints(64))
        coefficients = g.op("MatMul", flat, g.floats(zigzag_dct()))
        return {
            "coefficients": coefficients,
            "weights": g.floats(np.array(self.spec["weights"]).reshape(3, 1, 1)),
            "sizes": (height, width),
            "grid": (rows, columns),
            "blocks": blocks,
        }

    def line(self, name):
        g = self.g
        block = 6 if name == "imu" else LINE_BLOCK
        flat = g.op("Reshape", name, g.ints([-1]))
        length = g.dimension(flat, 0)
        largest = g.op("ReduceMax", g.op("Concat", g.op("Abs", flat), g.floats([0]), axis=0), keepdims=0)
        scale = g.op("Where", g.op("Greater", largest, g.floats(0)), largest, g.floats(1))
        scaled = g.op("Div", flat, scale)
        whole, count = g.padded(scaled, 0, length, block)
        rows = g.reshape(whole, count, g.ints(block))
        sizes = (g.dimension(name, 0), g.dimension(name, 1)) if name == "audio" else (length,)
        return {
            "coefficients": g.op("MatMul", rows, g.floats(dct(block))),
            "weights": g.floats(1),
            "basis": dct(block),
            "block": block,
            "sizes": sizes,
            "length": length,
            "blocks": count,
            "scaled": scaled,
            "scale": scale,
        }

    def level(self, parts):
        """The chosen level: LEVEL_CHANGES are tried in a loop, by the error of the coefficients."""
        g = self.g
        sizes = [g.op("Size", part["coefficients"]) for part in parts]
        count = g.op("Max", g.op("Sum", *[g.op("Cast", size, to=TensorProto.DOUBLE) for size in sizes]),
                     g.constant(np.array(1, np.float64)))
        body = Graph(g.constants, "try_")
        change = body.op("Gather", body.floats(LEVEL_CHANGES), "attempt", axis=0)
        wanted = body.op("Add", "compression_level", change)
        level = body.op("Clip", wanted, body.floats(LEVEL_MIN), body.floats(LEVEL_MAX), output="try_level")
        step = self.step(body, level)
        errors = []
        for part in parts:
            _, decoded = self.quantise(body, part["coefficients"], body.op("Mul", step, part["weights"]))
            error = body.op("Sub", part["coefficients"], decoded)
            errors.append(body.sum(body.op("ReduceSum", body.op("Mul", error, error), body.ints([-1]))))
        mse = body.op("Div", body.op("Sum", *errors), count)
        self.quality(body, mse, output="try_quality")
        body.op("Identity", "go", output="go_on")
        graph = helper.make_graph(
            body.nodes,
            "try_levels",
            [
                helper.make_tensor_value_info("attempt", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            ],
            [
                helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("try_level", TensorProto.FLOAT, []),
                helper.make_tensor_value_info("try_quality", TensorProto.FLOAT, []),
            ],
        )
        attempts = g.ints(len(LEVEL_CHANGES))
        g.nodes.append(
            helper.make_node(
                "Loop", [attempts, g.constant(np.array(True))], ["levels", "qualities"], name="tries", body=graph
            )
        )
        reached = g.op("Not", g.op("Less", "qualities", "target_quality"))
        index = g.op("Mul", g.op("Cast", reached, to=TensorProto.INT64), g.ints(range(len(LEVEL_CHANGES))))
        return g.op("Gather", "levels", g.op("ReduceMax", index, keepdims=0), axis=0)

    def quality(self, g, mse, output):
        """PSNR over QUALITY_DB, of a mean squared error against a peak of 1."""
        bounded = g.op("Max", mse, g.constant(np.array(MSE_MIN, np.float64)))
        ratio = g.op("Mul", g.op("Log", bounded), g.constant(np.array(-10 / np.log(10) / QUALITY_DB, np.float64)))
        clipped = g.op("Clip", ratio, g.constant(np.array(0.0)), g.constant(np.array(1.0)))
        return g.op("Cast", clipped, to=TensorProto.FLOAT, output=output)

    def code(self, part, level, is_image):
        """Adds the part's codes, decoded coefficients and bits."""
        g = self.g
        step = g.op("Mul", self.step(g, level), part["weights"])
        codes, part["decoded"] = self.quantise(g, part["coefficients"], step)
        if is_image and self.spec["differences"]:
            means = g.op("Slice", codes, g.ints([0]), g.ints([1]), g.ints([2]))
            shifted = g.op("Concat", g.floats(np.zeros((3, 1, 1))), means, axis=1)
            ends = g.op("Reshape", part["blocks"], g.ints([1]))
            before = g.op("Slice", shifted, g.ints([0]), ends, g.ints([1]))
            others = g.op("Slice", codes, g.ints([1]), g.ints([64]), g.ints([2]))
            codes = g.op("Concat", g.op("Sub", means, before), others, axis=2)
        part["codes"] = g.op("Reshape", codes, g.ints([-1]))
        size = 64 if is_image else part["block"]
        magnitude = g.op("Abs", codes)
        present = g.op("Min", magnitude, g.floats(1))
        last = g.op("ReduceMax", g.op("Mul", present, g.floats(np.arange(1, size + 1))), axes=[-1], keepdims=0)
        # With half added, no rounding of the logarithm can cross a power of two.
        logarithm = g.op("Mul", g.op("Log", g.op("Add", magnitude, g.floats(0.5))), g.floats(1 / np.log(2)))
        gamma = g.op("Add", g.op("Mul", g.op("Floor", logarithm), g.floats(2)), g.floats(2))
        spent = g.op("ReduceSum", g.op("Mul", present, gamma), g.ints([-1]), keepdims=0)
        place_bits = float(int(size).bit_length())
        part["bits"] = g.sum(g.op("Add", g.op("Add", spent, last), g.floats(place_bits)))

    def reconstruct_image(self, part):
        g = self.g
        (height, width), (rows, columns) = part["sizes"], part["grid"]
        blocks = g.op("MatMul", part["decoded"], g.floats(zigzag_dct().T))
        cut = g.reshape(blocks, g.ints(3), rows, columns, g.ints(8), g.ints(8))
        ordered = g.op("Transpose", cut, perm=[1, 3, 2, 4, 0])
        eight = g.ints(8)
        whole = g.reshape(ordered, g.op("Mul", rows, eight), g.op("Mul", columns, eight), g.ints(3))
        kept = g.op("Slice", whole, g.ints([0, 0]), g.shape(height, width), g.ints([0, 1]))
        colours = g.op("MatMul", kept, g.floats(np.array(self.spec["colours"])))
        shifted = g.op("Add", colours, g.floats(0.5))
        recovered = g.op("Clip", shifted, g.floats(0), g.floats(1), output="reconstructed_image")
        return g.op("Sub", recovered, "image")

    def line_error(self, part):
        g = self.g
        flat = g.op("Reshape", g.op("MatMul", part["decoded"], g.floats(part["basis"].T)), g.ints([-1]))
        length = g.op("Reshape", part["length"], g.ints([1]))
        return g.op("Sub", g.op("Slice", flat, g.ints([0]), length, g.ints([0])), part["scaled"])

    def features(self, part, size, is_image):
        """Mean, slope and forecast of the band magnitudes along the sequence of blocks, by least squares."""
        g = self.g
        magnitude = g.op("Abs", part["decoded"])
        if is_image:
            magnitude = g.op("ReduceMean", magnitude, axes=[0], keepdims=0)
        values = g.op("MatMul", magnitude, g.floats(bands(size)))
        count = g.op("Max", g.to_float(part["blocks"]), g.floats(1))
        index = g.to_float(g.op("Range", g.ints(0), part["blocks"], g.ints(1)))
        time = g.op("Sub", g.op("Div", g.op("Add", index, g.floats(0.5)), count), g.floats(0.5))
        # sum((i + 0.5) / n - 0.5)^2 over n blocks, in closed form; one block has no slope.
        squares = g.op("Div", g.op("Sub", g.op("Mul", count, count), g.floats(1)), g.op("Mul", count, g.floats(12)))
        spread = g.op("Max", squares, g.floats(1e-6))
        row = g.op("Unsqueeze", time, g.ints([0]))
        slope = g.op("Div", g.op("MatMul", row, values), spread)
        ones = g.op("Add", g.op("Mul", row, g.floats(0)), g.floats(1))
        mean = g.op("Div", g.op("MatMul", ones, values), count)
        ahead = g.op("Add", g.op("Div", g.floats(0.5), count), g.floats(0.5))
        return slope, g.op("Add", mean, g.op("Mul", slope, ahead))

    def build(self):
        g = self.g
        image = self.image()
        lines = {name: self.line(name) for name in LINES}
        parts = [image, *lines.values()]
        level = self.level(parts)
        for part in parts:
            self.code(part, level, part is image)
        header = [level, *(g.to_float(size) for part in parts for size in part["sizes"])]
        header += [part["scale"] for part in lines.values()]
        values = [g.op("Reshape", value, g.ints([1])) for value in header]
        codes = g.op("Concat", *values, *(part["codes"] for part in parts), axis=0)
        g.op("Unsqueeze", codes, g.ints([0]), output="compressed")
        self.figures(image, lines, level)
        self.fuse(image, lines, level)
        return self.model()

    def figures(self, image, lines, level):
        g = self.g
        errors = [g.op("ReduceSum", square(g, self.reconstruct_image(image)), g.ints([1, 2]), keepdims=0)]
        errors += [square(g, self.line_error(part)) for part in lines.values()]
        given = [g.op("Size", name) for name in ("image", *LINES)]
        count = g.op("Cast", g.op("Add", g.op("Add", given[0], given[1]), g.op("Add", given[2], given[3])),
                     to=TensorProto.DOUBLE)
        one = g.constant(np.array(1, np.float64))
        mse = g.op("Div", g.op("Sum", *[g.sum(error) for error in errors]), g.op("Max", count, one))
        self.quality(g, mse, output="predicted_quality")
        words = {"image": 2, "lidar": 2, "imu": 1, "audio": 3}
        header = g.ints(FLAG_BITS + WORD_BITS)
        for size, name in zip(given, words):
            there = g.op("Min", size, g.ints(1))
            header = g.op("Add", header, g.op("Mul", there, g.ints(words[name] * WORD_BITS)))
        coded = [part["bits"] for part in (image, *lines.values())]
        bits = g.op("Sum", g.op("Cast", header, to=TensorProto.DOUBLE), *coded)
        plain = g.op("Mul", count, g.constant(np.array(32, np.float64)))
        # Of nothing, nothing is saved.
        something = g.op("Greater", count, g.constant(np.array(0, np.float64)))
        ratio = g.op("Where", something, g.op("Div", plain, bits), one)
        g.op("Cast", ratio, to=TensorProto.FLOAT, output="compression_ratio")
        g.op("Identity", level, output="adjusted_compression")

    def fuse(self, image, lines, level):
        """The stronger the compression, the fewer bands: those below FEATURES * (1.1 - level)."""
        g = self.g
        kept = g.op("Mul", g.op("Sub", g.floats(1.1), level), g.floats(FEATURES))
        gate = g.to_float(g.op("Less", g.floats(np.arange(FEATURES)), kept))
        pairs = [self.features(image, 64, True)]
        pairs += [self.features(part, part["block"], False) for part in lines.values()]
        for output, column in (("temporal_out", 0), ("predicted", 1)):
            gated = [g.op("Mul", pair[column], gate) for pair in pairs]
            g.op("Concat", *gated, axis=1, output=output)

    def model(self):
        def info(name, shape):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

        graph = helper.make_graph(
            self.g.nodes,
            "compressor",
            [
                info("image", ["height", "width", 3]),
                info("lidar", ["lidar_values"]),
                info("imu", ["imu_values"]),
                info("audio", ["frames", "bins"]),
                info("compression_level", []),
                info("target_quality", []),
            ],
            [
                info("compressed", [1, "code_count"]),
                info("temporal_out", [1, 4 * FEATURES]),
                info("predicted", [1, 4 * FEATURES]),
                info("reconstructed_image", ["height", "width", 3]),
                info("compression_ratio", []),
                info("predicted_quality", []),
                info("adjusted_compression", []),
            ],
            [numpy_helper.from_array(array, name) for name, array in self.g.constants.values()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def square(g, value):
    return g.op("Mul", value, value)


def manifest(version):
    def given(name, shape, default, **more):
        return {"name": name, "datatype": "float32", "shape": shape, "default": default, **more}

    nothing = {"shape": [0], "data": []}
    return {
        "description": f"Transform coder for images, lidar, IMU and audio, version {version}: a demonstration.",
        "instances": 1,
        "threads": 1,
        "inputs": [
            given("image", ["height", "width", 3], {"shape": [0, 0, 3], "data": []}, range=[0, 1]),
            given("lidar", ["lidar_values"], nothing),
            given("imu", [6], nothing),
            given("audio", ["frames", "bins"], {"shape": [0, 0], "data": []}),
            given("compression_level", [], 0.8, range=[LEVEL_MIN, LEVEL_MAX]),
            given("target_quality", [], 0.8, range=[0, 1]),
        ],
        "outputs": [
            {"name": "compressed"},
            {"name": "temporal_out"},
            {"name": "predicted"},
            {"name": "reconstructed_image", "when": "return_reconstruction"},
            {"name": "compression_ratio", "metric": {"better": "higher"}},
            {"name": "predicted_quality", "metric": {"better": "higher", "as": "quality"}},
            {"name": "adjusted_compression", "metric": {}},
        ],
    }


def main():
    parser = argparse.ArgumentParser(description="Make the demo compressor, versions 1.0 and 1.1.")
    default = Path(__file__).parent / "demo" / "compressor"
    parser.add_argument("dest", metavar="DEST", type=Path, nargs="?", default=default, help="folder to write")
    dest = parser.parse_args().dest
    for version, spec in VERSIONS.items():
        folder = dest / version
        folder.mkdir(parents=True, exist_ok=True)
        model = folder / "model.onnx"
        model.write_bytes(Compressor(spec).build().SerializeToString(deterministic=True))
        text = json.dumps(manifest(version), indent=2) + "\n"
        (folder / "manifest.json").write_text(text, "utf-8", newline="\n")
        print(f"{model}: {model.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
