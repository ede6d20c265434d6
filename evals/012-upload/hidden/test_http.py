"""/api/files, as the prompt says."""

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)


async def send(client, data, name="cat.png"):
    head = f'--x\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    fields = {"content-type": "multipart/form-data; boundary=x"}
    return await client.post("/api/files", body=head.encode() + data + b"\r\n--x--\r\n", headers=fields)


async def test_the_same_bytes_come_back_as_a_download(client, sign_in):
    await sign_in(client, "ada@example.com")
    kept = await send(client, PNG)
    assert kept.status == 201

    read = await client.get(f"/api/files/{kept.json()['id']}")

    assert (read.status, read.body) == (200, PNG)
    assert read.headers["content-disposition"].startswith("attachment")


async def test_other_kinds_and_larger_ones_are_refused(client, sign_in):
    await sign_in(client, "ada@example.com")
    assert (await send(client, b"<script>alert(1)</script>")).status == 415
    assert (await send(client, b"MZ\x90")).status == 415
    assert (await send(client, PNG + bytes(1_100_000))).status == 413
