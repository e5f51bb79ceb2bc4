"""NVIDIA's clients after a silence: python triton_client_idle.py HTTP_ADDRESS GRPC_ADDRESS. Asserts, then prints ok.

uWebSockets.js closes a connection that has been idle for some ten seconds; the HTTP client keeps a pool of them."""

import socket
import sys
import time

import numpy as np
import tritonclient.grpc as grpc
import tritonclient.http as http

IDLE_SECONDS = 12
http_address, grpc_address = sys.argv[1:3]
clients = [(http, http.InferenceServerClient(http_address, concurrency=4)), (grpc, grpc.InferenceServerClient(grpc_address))]
value = np.ones(3, np.float32)


def tensor(module):
    made = module.InferInput("input", [3], "FP32")
    made.set_data_from_numpy(value)
    return made


def ask_all():
    """As many at once as the pool has connections, so that each of them is used."""
    for module, client in clients:
        if module is http:
            pending = [client.async_infer("identity_float32", [tensor(http)]) for _ in range(4)]
            answers = [each.get_result() for each in pending]
        else:
            answers = [client.infer("identity_float32", [tensor(grpc)])]
        for answer in answers:
            assert np.array_equal(answer.as_numpy("output"), value)
        assert client.is_server_live()


ask_all()
# Used last, so when the server has closed it, it has closed the others.
host, port = http_address.split(":")
witness = socket.create_connection((host, int(port)), timeout=20)
witness.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
started = time.monotonic()
assert witness.recv(65536).startswith(b"HTTP/1.1 200")
assert witness.recv(65536) == b"", "the server closes what is idle"
time.sleep(max(0, IDLE_SECONDS - (time.monotonic() - started)))
ask_all()
for _, client in clients:
    client.close()
print("ok", round(time.monotonic() - started, 1))
