"""The official Python client's chats against a running server with an upstream: python openai_chat_client.py BASE_URL."""

import sys

import openai

client = openai.OpenAI(api_key="sk-python", base_url=sys.argv[1] + "/v1", max_retries=0)
question = [{"role": "user", "content": "How far away is the moon?"}]


def ask(**arguments):
    return client.chat.completions.with_raw_response.create(model="gpt-test", messages=question, **arguments)


miss = ask()
assert miss.headers["x-cache"] == "miss", miss.headers
text = miss.parse().choices[0].message.content
assert text == "Answer 1 to: How far away is the moon?", text

hit = ask()
assert hit.headers["x-cache"] == "hit"
assert hit.parse() == miss.parse()

stream = client.chat.completions.create(
    model="gpt-test", messages=question, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
assert chunks[-1].usage.total_tokens == 12

live = client.chat.completions.create(
    model="gpt-test", messages=[{"role": "user", "content": "Who wrote Hamlet?"}], stream=True
)
assert "".join(chunk.choices[0].delta.content or "" for chunk in live) == "Answer 2 to: Who wrote Hamlet?"

try:
    client.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "!status 429"}])
    raise AssertionError("no error")
except openai.RateLimitError as error:
    assert "no 429" in str(error)

try:
    client.chat.completions.create(model="gpt-test", messages=[])
    raise AssertionError("no error")
except openai.BadRequestError as error:
    assert error.body["param"] == "messages", error.body

print("ok")
