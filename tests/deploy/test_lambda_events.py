"""Events of AWS Lambda to requests and back, through the handler that AWS's runtime client calls."""

from __future__ import annotations

import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from deploy.functions import body_of, build, event, project

from turnout.adapters.aws_lambda import Handler
from turnout.built import load_built, run_task
from turnout.errors import ConfigError, TurnoutError
from turnout.routing.module import unload

ECHO = """
    from turnout import Response, cookies


    async def answer(request):
        cookies().set("seen", "1")
        cookies().set("theme", "dark")
        return {
            "method": request.method, "path": request.path, "search": request.search, "ip": request.ip,
            "headers": list(request.headers.items()), "cookies": request.cookies, "url": request.url.href,
            "body": (await request.bytes()).decode("latin-1"), "secure": request.secure,
        }


    GET = POST = answer
"""
FILES = {
    "app/api/echo/route.py": ECHO,
    "app/route.py": "from turnout import Response\n\n\nasync def GET(request):\n    return Response.text('home')\n",
    "app/api/[name]/route.py": "async def GET(request, name):\n    return {'name': name}\n",
    "app/api/bytes/route.py": "async def GET(request):\n    return bytes(range(256))\n",
    "app/api/text/route.py": """
        from turnout import Response


        async def GET(request):
            return Response.text("grün")
    """,
    "app/api/large/route.py": "async def GET(request):\n    return b'x' * 7_000_000\n",
    "app/api/stream/route.py": "async def GET(request):\n    yield 'one '\n    yield 'two'\n",
    "lib/tasks.py": """
        from turnout import task

        done = []


        @task
        async def note(word: str, times: int = 1):
            if word == "bad":
                raise ValueError(word)
            done.extend([word] * times)


        @task(cron="0 3 * * *")
        def nightly():
            done.append("nightly")
    """,
}


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 30_000


class Called:
    """The handler of a built project, called as AWS's client would."""

    def __init__(self, folder: Path) -> None:
        self.handler = Handler(load_built(folder).app, run_task)

    def __call__(self, payload: dict[str, Any]) -> Any:
        return self.handler(payload, Context())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("events")
    deploy = 'allow = ["streaming"]\nenvironment = ["DATABASE_URL"]'
    return build(project(root, FILES, deploy)) / "function"


@pytest.fixture
def called(folder):
    unload(folder)
    made = Called(folder)
    yield made
    made.handler.driver.close()
    unload(folder)
    sys.path.remove(str(folder))


def v1(method: str, path: str, **more: Any) -> dict[str, Any]:
    """As a REST API sends it."""
    return {
        "httpMethod": method,
        "path": path,
        "multiValueHeaders": {"Host": ["sample.example"], "X-Two": ["a", "b"], "Cookie": ["a=1; b=2"]},
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "live", "identity": {"sourceIp": "192.0.2.8"}},
        "body": None,
        "isBase64Encoded": False,
        **more,
    }


def alb(path: str, *, multi: bool, **more: Any) -> dict[str, Any]:
    """As a load balancer sends it."""
    fields = {"host": "sample.example", "x-forwarded-for": "203.0.113.1, 192.0.2.9", "x-forwarded-proto": "https"}
    many = {"multiValueHeaders": {name: [value] for name, value in fields.items()}}
    return {
        "httpMethod": "GET",
        "path": path,
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        **(many if multi else {"headers": fields}),
        "body": "",
        "isBase64Encoded": False,
        **more,
    }


def test_a_function_url_s_event_becomes_the_request_that_was_sent(called):
    sent = event("POST", "/api/echo?b=2&a=1&b=3", body=b64encode(b"\xff\x00").decode(), **{"x-two": "a,b"})
    sent |= {"isBase64Encoded": True, "cookies": ["a=1", "b=2"]}

    answer = called(sent)

    seen = json.loads(body_of(answer))
    assert answer["statusCode"] == 200
    assert (seen["method"], seen["path"], seen["search"]) == ("POST", "/api/echo", "?b=2&a=1&b=3")
    assert seen["cookies"] == {"a": "1", "b": "2"}
    assert seen["body"] == "\xff\x00"
    assert seen["ip"] == "192.0.2.7"
    assert seen["url"] == "https://sample.example/api/echo?b=2&a=1&b=3"
    assert seen["secure"]
    assert ["x-two", "a,b"] in seen["headers"]
    assert [cookie.partition("=")[0] for cookie in answer["cookies"]] == ["seen", "theme"]
    assert "set-cookie" not in answer["headers"]


def test_a_stage_stands_before_the_path_unless_it_is_the_default_one(called):
    staged = event("GET", "/live/api/text")
    staged["requestContext"]["stage"] = "live"
    assert called(staged)["statusCode"] == 200

    alone = event("GET", "/live")
    alone["requestContext"]["stage"] = "live"
    assert called(alone)["body"] == "home"

    beside = event("GET", "/api/live")
    beside["requestContext"]["stage"] = "api"  # a stage of that name is cut once
    assert called(beside)["statusCode"] == 404


@pytest.mark.parametrize("path", ["/api/a%20b", "/api/a b", "/api/gr%C3%BCn", "/api/grün"])
def test_a_path_may_arrive_decoded_or_not(called, path):
    name = json.loads(body_of(called(event("GET", path))))["name"]

    assert name == {"a": "a b", "g": "grün"}[path[5]]


def test_a_rest_api_s_event_and_answer_have_every_field_as_a_list(called):
    answer = called(v1("GET", "/api/echo", multiValueQueryStringParameters={"q": ["ä b", "c&d"]}))

    seen = json.loads(body_of(answer))
    assert seen["search"] == "?q=%C3%A4+b&q=c%26d"
    assert seen["ip"] == "192.0.2.8"
    assert seen["cookies"] == {"a": "1", "b": "2"}
    assert [value for name, value in seen["headers"] if name == "x-two"] == ["a", "b"]
    # Any other key is a 502 of API Gateway's.
    assert set(answer) == {"statusCode", "body", "isBase64Encoded", "multiValueHeaders"}
    assert len(answer["multiValueHeaders"]["set-cookie"]) == 2


def test_a_balancer_is_answered_in_the_form_it_asked_in(called):
    many = called(alb("/api/echo", multi=True, multiValueQueryStringParameters={"q": ["a%20b"]}))
    assert json.loads(body_of(many))["search"] == "?q=a%20b"
    assert json.loads(body_of(many))["ip"] == "192.0.2.9"
    assert len(many["multiValueHeaders"]["set-cookie"]) == 2

    one = called(alb("/api/text", multi=False))
    assert one["headers"]["content-type"] == "text/plain; charset=utf-8"
    assert all(isinstance(value, str) for value in one["headers"].values())


def test_two_cookies_for_a_balancer_that_sends_one_are_an_error(called):
    with pytest.raises(TurnoutError, match="multi_value_headers"):
        called(alb("/api/echo", multi=False))


def test_text_goes_as_text_and_bytes_as_base64(called):
    text, data = called(event("GET", "/api/text")), called(event("GET", "/api/bytes"))

    assert (text["body"], text["isBase64Encoded"]) == ("grün", False)
    assert (body_of(data), data["isBase64Encoded"]) == (bytes(range(256)), True)


def test_head_has_the_fields_of_get_and_no_body(called):
    answer = called(event("HEAD", "/api/text"))

    assert (answer["statusCode"], answer["body"], answer["headers"]["content-length"]) == (200, "", "5")


def test_a_stream_arrives_whole_where_nothing_streams(called):
    assert called(event("GET", "/api/stream"))["body"] == "one two"
    assert called.handler.app.admission.streams == 0


def test_an_answer_over_the_limit_is_an_error_and_not_a_mangled_one(called):
    with pytest.raises(TurnoutError, match="7,000,000"):
        called(event("GET", "/api/large"))


def test_what_the_server_refuses_is_refused_here_too(called):
    assert called(event("GET", "/nothing"))["statusCode"] == 404
    assert called(event("DELETE", "/api/text"))["statusCode"] == 405
    assert called(event("BREW", "/api/text"))["statusCode"] == 501
    assert called(event("GET", "/api/%2e%2e/x"))["statusCode"] == 400
    assert called(event("GET", "/api//text"))["statusCode"] == 308


# -- what is no request


def test_a_schedule_runs_its_task(called):
    assert called({"source": "turnout.schedule", "task": "nightly"}) is None

    from lib.tasks import done

    assert done == ["nightly"]


def test_of_a_batch_only_the_messages_that_failed_come_again(called):
    def message(number: int, **body: Any) -> dict[str, Any]:
        return {"messageId": str(number), "eventSource": "aws:sqs", "body": json.dumps(body)}

    records = [
        message(1, task="note", args=["good"]),
        message(2, task="note", args=["bad"]),
        message(3, task="unknown"),
        message(4, task="note", args=["twice"], kwargs={"times": 2}),
        {"messageId": "5", "body": "no json"},
    ]

    answer = called({"Records": records})

    assert answer == {"batchItemFailures": [{"itemIdentifier": each} for each in ("2", "3", "5")]}
    from lib.tasks import done

    assert done == ["good", "twice", "twice"]


def test_an_eventbridge_event_runs_the_task_in_its_detail(called):
    called({"source": "shop", "detail-type": "order", "detail": {"task": "note", "args": ["order"]}})

    from lib.tasks import done

    assert done == ["order"]


def test_an_event_that_nobody_knows_is_an_error(called):
    with pytest.raises(TurnoutError, match="names no task"):
        called({"hello": "world"})
    with pytest.raises(ConfigError, match=r"known here: .*nightly, note"):
        called({"task": "unknown"})
