"""NVIDIA's gRPC client against a running server: python triton_client_grpc.py HOST:PORT EMBEDDING_MODEL. Asserts, then prints ok."""

import queue
import sys
import threading
import time

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException

NUMPY = {
    "float32": ("FP32", np.float32), "float64": ("FP64", np.float64), "float16": ("FP16", np.float16), "int8": ("INT8", np.int8),
    "int16": ("INT16", np.int16), "int32": ("INT32", np.int32), "int64": ("INT64", np.int64), "uint8": ("UINT8", np.uint8),
    "uint16": ("UINT16", np.uint16), "uint32": ("UINT32", np.uint32), "uint64": ("UINT64", np.uint64), "bool": ("BOOL", np.bool_),
}
address, EMBEDDING = sys.argv[1:3]
client = grpc.InferenceServerClient(address)


def tensor(values, datatype, name="input"):
    made = grpc.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def expect(code, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        assert error.status() == f"StatusCode.{code}", (error.status(), error)
        return error.message()
    raise AssertionError(f"{call} did not fail")


assert client.is_server_live() and client.is_server_ready()
assert "statistics" in client.get_server_metadata().extensions
assert not client.is_model_ready("identity_float32")
client.load_model("identity_float32")
assert client.is_model_ready("identity_float32", "1")
assert "identity_float32" in [row.name for row in client.get_model_repository_index().models if row.state == "READY"]
client.unload_model("identity_float32")
for _ in range(100):
    if not client.is_model_ready("identity_float32"):
        break
    time.sleep(0.01)
assert not client.is_model_ready("identity_float32")
expect("NOT_FOUND", client.load_model, "nope")
expect("INVALID_ARGUMENT", client.load_model, "identity_float32", config="{}")
expect("NOT_FOUND", client.get_model_metadata, "nope")

for name, (datatype, dtype) in NUMPY.items():
    values = np.array([0, 1, 1], dtype) if name == "bool" else np.array([0, 1, 100], dtype)
    if dtype in (np.int64, np.uint64):
        values = np.append(values, np.array([2**53 + 1, np.iinfo(dtype).max], dtype))
    result = client.infer(f"identity_{name}", [tensor(values, datatype)], request_id="r")
    back = result.as_numpy("output")
    assert back.dtype == dtype and np.array_equal(back, values) and result.get_response().id == "r", name
nan = np.array([np.nan, np.inf], np.float32)
assert np.array_equal(client.infer("identity_float32", [tensor(nan, "FP32")]).as_numpy("output"), nan, equal_nan=True)
texts = np.array(["", "ümläut 日本 🎉", "x" * 70_000], dtype=object)
assert [item.decode() for item in client.infer("identity_string", [tensor(texts, "BYTES")]).as_numpy("output")] == list(texts)

# The typed contents that other clients use, which this one cannot make.
stub = client._client_stub
for datatype, model, field, values in (
    ("FP32", "identity_float32", "fp32_contents", [0.5, 1.5]), ("INT64", "identity_int64", "int64_contents", [2**63 - 1, -(2**53) - 1]),
    ("UINT8", "identity_uint8", "uint_contents", [0, 255]), ("INT16", "identity_int16", "int_contents", [-5, 7]),
    ("BOOL", "identity_bool", "bool_contents", [True, False]), ("BYTES", "identity_string", "bytes_contents", [b"a", b"bc"]),
):
    request = service_pb2.ModelInferRequest(model_name=model)
    one = request.inputs.add(name="input", datatype=datatype, shape=[2])
    getattr(one.contents, field).extend(values)
    answer = stub.ModelInfer(request)
    assert len(answer.raw_output_contents) == 1, "answers are raw"
    if datatype == "INT64":
        assert list(np.frombuffer(answer.raw_output_contents[0], np.int64)) == values

big = np.arange(2_000_000, dtype=np.float32)
assert np.array_equal(client.infer("identity_float32", [tensor(big, "FP32")], compression_algorithm="gzip").as_numpy("output"), big)
expect("NOT_FOUND", client.infer, "versions", [tensor(np.ones(3, np.float32), "FP32")], model_version="9")
expect("INVALID_ARGUMENT", client.infer, "identity_float32", [tensor(np.ones(3, np.int64), "INT64")])
expect("INVALID_ARGUMENT", client.infer, "identity_float32", [tensor(np.ones(3, np.float32), "FP32", "other")])
expect("RESOURCE_EXHAUSTED", client.infer, "identity_float32", [tensor(np.ones(3_000_000, np.float32), "FP32")])

# Asynchronous, batched on the way.
answers = queue.Queue()
for i in range(24):
    client.async_infer("batching", [tensor(np.full((1, 4), i, np.float32), "FP32")], lambda result, error: answers.put((result, error)), request_id=str(i), priority=1 + i % 3)
for _ in range(24):
    result, error = answers.get(timeout=10)
    assert error is None, error
    assert np.array_equal(result.as_numpy("output"), np.full((1, 4), int(result.get_response().id), np.float32))
stats = client.get_inference_statistics("batching").model_stats[0]
assert stats.inference_count == 24 and stats.execution_count < 24 and stats.inference_stats.queue.ns > 0, stats
assert client.get_model_config("batching").config.max_batch_size == 8
assert len(client.get_inference_statistics().model_stats) > 10

# A deadline that passes while the request waits for others, and a call that its client gives up: neither runs.
before = client.get_inference_statistics("batching").model_stats[0].execution_count
expect("DEADLINE_EXCEEDED", client.infer, "batching", [tensor(np.ones((1, 4), np.float32), "FP32")], client_timeout=0.005)
cancelled = threading.Event()
running = client.async_infer("batching", [tensor(np.ones((1, 4), np.float32), "FP32")], lambda result, error: cancelled.set() if "cancel" in str(error).lower() else None)
running.cancel()
assert cancelled.wait(5)
time.sleep(0.1)
assert client.get_inference_statistics("batching").model_stats[0].execution_count == before

# A stream: answers in order, an error among them as an answer.
stream = queue.Queue()
client.start_stream(lambda result, error: stream.put((result, error)))
for i in range(50):
    model = "nope" if i == 20 else "identity_int32"
    client.async_stream_infer(model, [tensor(np.array([i], np.int32), "INT32")], request_id=str(i))
for i in range(50):
    result, error = stream.get(timeout=10)
    if i == 20:
        assert "nope" in str(error), error
    else:
        assert result.get_response().id == str(i) and result.as_numpy("output")[0] == i
client.stop_stream()
client.start_stream(lambda result, error: None)
client.async_stream_infer("identity_int32", [tensor(np.array([1], np.int32), "INT32")])
client.stop_stream(cancel_requests=True)

words = np.array([["a text"], ["another"]], dtype=object)
vectors = client.infer(EMBEDDING, [tensor(words, "BYTES", "text")]).as_numpy("embedding")
assert vectors.shape == (2, client.get_model_metadata(EMBEDDING).outputs[0].shape[1])

for call in (client.get_trace_settings, client.get_log_settings, client.get_system_shared_memory_status, client.get_cuda_shared_memory_status):
    expect("UNIMPLEMENTED", call)
client.close()
print("ok")
