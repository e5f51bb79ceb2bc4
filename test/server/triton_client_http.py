"""NVIDIA's HTTP client against a running server: python triton_client_http.py HOST:PORT EMBEDDING_MODEL. Asserts, then prints ok."""

import sys
import time

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

NUMPY = {
    "float32": ("FP32", np.float32), "float64": ("FP64", np.float64), "float16": ("FP16", np.float16), "int8": ("INT8", np.int8),
    "int16": ("INT16", np.int16), "int32": ("INT32", np.int32), "int64": ("INT64", np.int64), "uint8": ("UINT8", np.uint8),
    "uint16": ("UINT16", np.uint16), "uint32": ("UINT32", np.uint32), "uint64": ("UINT64", np.uint64), "bool": ("BOOL", np.bool_),
}
address, EMBEDDING = sys.argv[1:3]
client = http.InferenceServerClient(address, concurrency=8)


def tensor(values, datatype, binary=True, name="input"):
    made = http.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def expect(status, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        assert error.status() == str(status), (error.status(), status, error)
        return error.message()
    raise AssertionError(f"{call.__name__} did not fail")


assert client.is_server_live() and client.is_server_ready()
meta = client.get_server_metadata()
assert meta["name"] == "ortserve" and "binary_tensor_data" in meta["extensions"], meta

# The repository: a model that nobody used is not loaded.
assert not client.is_model_ready("identity_float32")
client.load_model("identity_float32")
assert client.is_model_ready("identity_float32") and client.is_model_ready("identity_float32", "1")
ready = {row["name"] for row in client.get_model_repository_index() if row["state"] == "READY"}
assert "identity_float32" in ready and "identity_int8" not in ready, ready
client.unload_model("identity_float32")
for _ in range(100):
    if not client.is_model_ready("identity_float32"):
        break
    time.sleep(0.01)
assert not client.is_model_ready("identity_float32")
expect(404, client.load_model, "nope")
expect(400, client.load_model, "identity_float32", config="{}")

# Every type there and back, binary and, where it has a form, as JSON; requests and answers both ways.
for name, (datatype, dtype) in NUMPY.items():
    model = f"identity_{name}"
    values = np.array([0, 1, 1, 0, 1], dtype) if name == "bool" else np.array([0, 1, 2, 3, 100], dtype)
    if dtype in (np.int64, np.uint64):
        values = np.append(values, np.array([2**53 + 1, np.iinfo(dtype).max], dtype))
    if dtype == np.int64:
        values = np.append(values, np.array([np.iinfo(dtype).min, -(2**53) - 1], dtype))
    if dtype in (np.float32, np.float64):
        values = np.append(values, np.array([0.1, -0.0, np.finfo(dtype).max, np.finfo(dtype).tiny], dtype))
    for binary_in in (True, False):
        for binary_out in (True, False):
            if name == "float16" and not (binary_in and binary_out):
                continue
            output = http.InferRequestedOutput("output", binary_data=binary_out)
            result = client.infer(model, [tensor(values, datatype, binary_in)], outputs=[output], request_id="r1")
            back = result.as_numpy("output")
            assert back.dtype == dtype and np.array_equal(back, values), (name, binary_in, binary_out, back)
            answer = result.get_response()
            assert answer["id"] == "r1" and answer["model_name"] == model and answer["model_version"] == "1", answer
expect(400, client.infer, "identity_float16", [tensor(np.ones(2, np.float16), "FP16")], outputs=[http.InferRequestedOutput("output", binary_data=False)])
nan = np.array([np.nan, np.inf, -np.inf], np.float32)
assert np.array_equal(client.infer("identity_float32", [tensor(nan, "FP32")]).as_numpy("output"), nan, equal_nan=True)

texts = np.array(["", "plain", "ümläut 日本 🎉", "x" * 70_000], dtype=object)
for binary in (True, False):
    back = client.infer("identity_string", [tensor(texts, "BYTES", binary)]).as_numpy("output")
    assert [item.decode() for item in back] == list(texts), binary
assert "UTF-8" in expect(400, client.infer, "identity_string", [tensor(np.array([b"\xff"], dtype=object), "BYTES")])

# No outputs named: the client asks for binary, even with JSON inputs.
result = client.infer("two", [tensor(np.arange(3, dtype=np.float32), "FP32", False, "a"), tensor(np.arange(5), "INT64", True, "b")])
assert [output["name"] for output in result.get_response()["outputs"]] == ["x", "y"]
assert np.array_equal(result.as_numpy("y"), np.arange(5))
only = client.infer("two", [tensor(np.ones(1, np.float32), "FP32", True, "a"), tensor(np.ones(1, np.int64), "INT64", True, "b")],
                    outputs=[http.InferRequestedOutput("y")])
assert only.as_numpy("x") is None

# Versions: the highest unless one is named.
assert client.get_model_metadata("versions")["versions"] == ["1", "2"]
assert client.infer("versions", [tensor(np.ones((3, 2), np.float32), "FP32")]).get_response()["model_version"] == "2"
assert client.infer("versions", [tensor(np.ones(3, np.float32), "FP32")], model_version="1").get_response()["model_version"] == "1"
expect(404, client.infer, "versions", [tensor(np.ones(3, np.float32), "FP32")], model_version="9")
expect(404, client.get_model_metadata, "nope")
expect(400, client.infer, "versions", [tensor(np.ones(3, np.float32), "FP32")])
expect(400, client.infer, "identity_float32", [tensor(np.ones(3, np.int64), "INT64")])
expect(400, client.infer, "identity_float32", [tensor(np.ones(3, np.float32), "FP32", name="other")])

for algorithm in ("gzip", "deflate"):
    values = np.zeros(50_000, np.float32)
    result = client.infer("identity_float32", [tensor(values, "FP32")], request_compression_algorithm=algorithm, response_compression_algorithm=algorithm)
    assert np.array_equal(result.as_numpy("output"), values)
    client.infer("identity_float32", [tensor(values[:5], "FP32", False)], request_compression_algorithm=algorithm)

# Dynamic batching: requests at the same time share runs, and get their own rows back.
config = client.get_model_config("batching")
assert config["max_batch_size"] == 8 and config["input"][0]["dims"] == [4] and config["dynamic_batching"]["priority_levels"] == 3, config
rows = [np.full((1 + i % 2, 4), i, np.float32) for i in range(24)]
pending = [client.async_infer("batching", [tensor(each, "FP32")], priority=1 + i % 3, timeout=30_000_000) for i, each in enumerate(rows)]
for each, wanted in zip(pending, rows):
    assert np.array_equal(each.get_result().as_numpy("output"), wanted)
stats = client.get_inference_statistics("batching")["model_stats"][0]
assert stats["inference_count"] == 36 and stats["inference_stats"]["success"]["count"] == 24, stats
assert stats["execution_count"] < 24 and stats["inference_stats"]["compute_infer"]["ns"] > 0, stats
expect(400, client.infer, "batching", [tensor(np.ones((9, 4), np.float32), "FP32")])
expect(400, client.infer, "batching", [tensor(np.ones((1, 4), np.float32), "FP32")], priority=4)
assert any(row["name"] == EMBEDDING for row in client.get_inference_statistics()["model_stats"])

# Raw parts, as other programs use them.
body, header_length = http.InferenceServerClient.generate_request_body([tensor(np.ones(3, np.float32), "FP32")])
assert header_length is not None and len(body) == header_length + 12

# An embedding model, whose name holds a slash.
meta = client.get_model_metadata(EMBEDDING)
assert [row["name"] for row in meta["inputs"] + meta["outputs"]] == ["text", "embedding"], meta
assert client.get_model_config(EMBEDDING)["output"][0]["dims"] == [meta["outputs"][0]["shape"][1]]
words = np.array([["a text"], ["another"]], dtype=object)
vectors = client.infer(EMBEDDING, [tensor(words, "BYTES", name="text")]).as_numpy("embedding")
flat = client.infer(EMBEDDING, [tensor(words[:, 0], "BYTES", False, "text")], outputs=[http.InferRequestedOutput("embedding", binary_data=False)])
assert vectors.shape == (2, meta["outputs"][0]["shape"][1]) and np.allclose(vectors, flat.as_numpy("embedding"), atol=1e-6)

# Texts of several requests share runs, each of which counts once; a bound on the wait that does not pass changes nothing.
before = client.get_inference_statistics(EMBEDDING)["model_stats"][0]
texts = [np.array([[f"text {i} {j}"] for j in range(3)], dtype=object) for i in range(24)]
pending = [client.async_infer(EMBEDDING, [tensor(each, "BYTES", name="text")], timeout=30_000_000) for each in texts]
assert all(each.get_result().as_numpy("embedding").shape == (3, vectors.shape[1]) for each in pending)
after = client.get_inference_statistics(EMBEDDING)["model_stats"][0]
assert after["inference_count"] - before["inference_count"] == 72, (before, after)
assert sum(row["batch_size"] * row["compute_infer"]["count"] for row in after["batch_stats"]) >= 72, after
assert sum(row["compute_infer"]["count"] for row in after["batch_stats"]) == after["execution_count"], after
expect(400, client.unload_model, EMBEDDING)

# What is not listed in the extensions is refused and harms nothing.
for call in (client.get_trace_settings, client.get_log_settings, client.get_system_shared_memory_status):
    expect(404, call)
client.close()
print("ok")
