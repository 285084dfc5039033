"""The request that every call and stream of the benchmark is: a short chat completion, 130 bytes of JSON."""

BODY = (
    b'{"model":"gpt-4.1","messages":[{"role":"user","content":"Say hello to everybody in the room, please, and be brief'
    b' about it. OK"}]}'
)
assert len(BODY) == 130
