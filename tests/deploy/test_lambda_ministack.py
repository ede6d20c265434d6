"""The template applied: a stack in a cloud of one machine, and requests through the address that it makes.

MiniStack runs Python functions by a shim of its own, so what is shown here is the template and the
handler; the runtime clients are shown by AWS's emulator.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from deploy.functions import DEADLINE_S, FULL, build, project
from ports import free_port

FILES = {
    "app/api/hello/route.py": """
        from turnout import cookies


        async def GET(request):
            cookies().set("a", "1")
            cookies().set("b", "2")
            return {"hello": request.search_params.get("name")}


        async def POST(request):
            return {"sent": await request.text()}
    """,
}
REGION = "us-east-1"


class Cloud:
    """MiniStack, spoken to as AWS is, without a client library."""

    def __init__(self, port: int) -> None:
        self.port = port

    def send(
        self, service: str, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, bytes, list[tuple[str, str]]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        credential = f"AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/{service}/aws4_request, Signature=0"
        try:
            connection.request(method, path, body, {"authorization": credential, **headers})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.getheaders()
        finally:
            connection.close()

    def call(self, action: str, **parameters: str) -> str:
        """A call of CloudFormation."""
        form = urlencode({"Action": action, "Version": "2010-05-15", **parameters}).encode()
        kind = {"content-type": "application/x-www-form-urlencoded", "host": f"cloudformation.{REGION}.amazonaws.com"}
        status, body, _ = self.send("cloudformation", "POST", "/", form, **kind)
        assert status == 200, body
        return body.decode()

    def create(self, name: str, template: str, **parameters: str) -> dict[str, str]:
        """Create a stack, wait for it, and give its outputs."""
        numbered = {
            f"Parameters.member.{number}.{part}": text
            for number, (key, value) in enumerate(parameters.items(), 1)
            for part, text in (("ParameterKey", key), ("ParameterValue", value))
        }
        capability = {"Capabilities.member.1": "CAPABILITY_IAM"}
        self.call("CreateStack", StackName=name, TemplateBody=template, **numbered, **capability)
        until_s = time.monotonic() + DEADLINE_S
        while "CREATE_COMPLETE" not in (text := self.call("DescribeStacks", StackName=name)):
            assert "ROLLBACK" not in text and time.monotonic() < until_s, text + self.call(
                "DescribeStackEvents", StackName=name
            )
            time.sleep(0.1)
        found = re.findall(r"<OutputKey>(.*?)</OutputKey>\s*<OutputValue>(.*?)</OutputValue>", text)
        return dict(found)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory) -> Iterator[Cloud]:
    place, port = tmp_path_factory.mktemp("cloud"), free_port()
    environment = {"PATH": "/usr/bin:/bin", "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "TMPDIR": str(place),
                   "S3_DATA_DIR": str(place / "s3"), "STATE_DIR": str(place / "state"), "HOME": str(place)}  # fmt: skip
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "ministack")], env=environment, stdout=log, stderr=log, cwd=place
        )
        try:
            made = Cloud(port)
            until_s = time.monotonic() + DEADLINE_S
            while True:
                try:
                    made.send("s3", "GET", "/")
                    break
                except OSError:
                    assert time.monotonic() < until_s and process.poll() is None, (place / "log").read_text()
                    time.sleep(0.1)
            yield made
        finally:
            process.terminate()
            process.wait(DEADLINE_S)


@pytest.mark.parametrize("events", ["url", "http-api"] if FULL else ["url"])
def test_the_stack_is_created_and_its_address_answers(cloud, tmp_path, events):
    out = build(project(tmp_path, FILES, f'lambda_events = "{events}"\nenvironment = ["STORE_URL"]'))
    assert cloud.send("s3", "PUT", "/code")[0] == 200
    assert cloud.send("s3", "PUT", f"/code/{events}.zip", (out / "function.zip").read_bytes())[0] == 200

    template = (out / "template.json").read_text()
    given = {"CodeBucket": "code", "CodeKey": f"{events}.zip", "StoreUrl": "memory:"}
    url = urlsplit(cloud.create(f"sample-{events}", template, **given)["Url"])

    status, body, fields = cloud.send("", "GET", "/api/hello?name=world", host=url.netloc)
    assert (status, json.loads(body)) == (200, {"hello": "world"})
    assert [value[:3] for name, value in fields if name.lower() == "set-cookie"] == ["a=1", "b=2"]
    status, body, _ = cloud.send("", "POST", "/api/hello", b"text", host=url.netloc)
    assert (status, json.loads(body)) == (200, {"sent": "text"})
    assert cloud.send("", "GET", "/api/none", host=url.netloc)[0] == 404
