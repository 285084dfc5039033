"""x"""
async def test_it(admin):
    """x."""
    print((await admin("GET","/apis")).json)
    r=await admin("POST","/apis",{"name":"openai","from_catalogue":"openai","base_url":"http://10.1.0.1:9/v1"}); print(r.status, r.body[:3000])
    r=await admin("PUT","/apis/openai/credentials/live",{"fields":{"key":"sk-sandbox-12345678901234567890"}}); print(r.status, r.body)
    r=await admin("POST","/apps",{"name":"blog","apis":["openai"]}); print(r.status, r.body)
    r=await admin("POST","/apps/blog/keys",{"permissions":{"mode":"restricted","grants":{"openai":{"models":"read"}}}}); print(r.status, r.body)
    k=r.json
    r=await admin("GET",f"/keys/{k['id']}/allows?method=GET&path=/models"); print(r.status, r.body)
    r=await admin("GET",f"/keys/{k['id']}/allows?method=POST&path=/files"); print(r.status, r.body)
    r=await admin("POST",f"/keys/{k['id']}/rotate"); print(r.status, r.body)
    r=await admin("GET",f"/audit"); print(r.status, r.body)
    r=await admin("POST",f"/audit/verify"); print(r.status, r.body)
    r=await admin("GET",f"/vault"); print(r.status, r.body)
    r=await admin("GET",f"/apis/openai/definition"); print(r.status, r.body, r.headers)
    print(admin.log.getvalue())
    assert 0
