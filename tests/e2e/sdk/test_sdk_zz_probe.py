from urllib.error import HTTPError
import openai, pytest, time
from tests.e2e.sdk.conftest import *

def test_probe(stage):
    for name, base in [("loop", stage.server.app + "/relay/openai"), ("inward", "http://10.0.0.1/v1"), ("local", "http://localhost:9/v1"), ("ten", "http://ip6-localhost/v1"), ("meta","http://169.254.169.254/v1")]:
        try:
            stage.add(name, {"key": PROVIDER_KEY}, from_catalogue="openai", base_url=base)
        except HTTPError as e:
            print(name, e.code, e.read()); continue
        with openai.OpenAI(base_url=stage.base(name), api_key=stage.key, max_retries=0) as c:
            try:
                c.models.list()
            except openai.APIError as e:
                print(name, type(e), e.message)
    with openai.OpenAI(base_url=stage.base(), api_key=stage.key, max_retries=0) as c:
        r = c.models.with_raw_response.list()
        print(dict(r.headers))
        try: c.get("/files/..%2Fmodels", cast_to=object)
        except openai.APIError as e: print(e, e.request_id, dict(e.response.headers))
    assert 0
