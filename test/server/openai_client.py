"""The official Python client against a running server: python openai_client.py BASE_URL. Asserts, then prints ok."""

import math
import sys

import openai

MODEL = "all-MiniLM-L6-v2"
client = openai.OpenAI(api_key="unused", base_url=sys.argv[1] + "/v1", max_retries=0)


def expect(kind, **arguments):
    try:
        client.embeddings.create(**arguments)
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised for {list(arguments)}")


# It asks for base64 by default and decodes it.
one = client.embeddings.create(model=MODEL, input="Hello, world!")
assert len(one.data[0].embedding) == 384
assert abs(math.hypot(*one.data[0].embedding) - 1) < 1e-5
assert one.usage.prompt_tokens == one.usage.total_tokens == 6
assert one.model == MODEL

texts = ["first", "second one", "a third that is somewhat longer"]
base64 = client.embeddings.create(model=MODEL, input=texts)
floats = client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
for index, (a, b) in enumerate(zip(base64.data, floats.data)):
    assert a.index == b.index == index
    assert max(abs(x - y) for x, y in zip(a.embedding, b.embedding)) < 1e-6

ids = client.embeddings.create(model=MODEL, input=[[7592, 1010, 2088, 999]])
assert sum(x * y for x, y in zip(ids.data[0].embedding, one.data[0].embedding)) > 0.99999

assert expect(openai.BadRequestError, model=MODEL, input="a", dimensions=128).param == "dimensions"
assert expect(openai.NotFoundError, model="nope", input="a").code == "model_not_found"
assert expect(openai.BadRequestError, model=MODEL, input="").param == "input"
assert expect(openai.BadRequestError, model=MODEL, input=["a", "x" * 1_000_000]).param == "input[1]"
assert "check_embedding_ctx_length" in expect(openai.BadRequestError, model=MODEL, input=[[100_000]]).message

try:
    client.embeddings.create(model=MODEL, input="x" * (11 * 1024 * 1024))
except openai.APIStatusError as error:
    assert error.status_code == 413, error
except openai.APIConnectionError:
    pass  # Refused while the body was still on its way.

assert [model.id for model in client.models.list()] == ["sentence-transformers/all-MiniLM-L6-v2"]
assert client.models.retrieve("sentence-transformers/all-MiniLM-L6-v2").object == "model"
print("ok")
