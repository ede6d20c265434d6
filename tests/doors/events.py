"""Requests to the events that AWS's services make of them, and their answers back to HTTP.

Written from AWS's description of each payload, and apart from the code under test.
Source: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html,
the page on REST API proxy integrations, and that on load balancers' targets.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from doors.cases import Case

Pairs = list[tuple[str, str]]
Answer = tuple[int, Pairs, bytes]
MOST_BYTES = 6_291_556  # of a payload, either way


def _fields(case: Case) -> Pairs:
    """What the service has received: a body always comes with its length, as a whole."""
    length = [("content-length", str(len(case.body)))] if case.body and not case.chunked else []
    return [("host", case.host or ""), *length, *case.headers]


def _body(case: Case) -> dict[str, Any]:
    try:
        text = case.body.decode()
    except UnicodeDecodeError:
        return {"body": b64encode(case.body).decode(), "isBase64Encoded": True}
    return {"body": text, "isBase64Encoded": False}


def _multi(pairs: Pairs) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def v2(case: Case) -> dict[str, Any]:
    """A Function URL, or an HTTP API with payload 2.0: names in lower case, equal ones joined, cookies apart."""
    path, _, query = case.target.partition("?")
    pairs = [(name.lower(), value) for name, value in _fields(case)]
    cookies = [crumb for name, value in pairs if name == "cookie" for crumb in value.split("; ")]
    headers = {name: ",".join(values) for name, values in _multi(pairs).items() if name != "cookie"}
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "http": {
                "method": case.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "",
            },
            "requestId": "1",
            "stage": "$default",
            "timeEpoch": 1,
        },
        **_body(case),
    }
    return {**event, "cookies": cookies} if cookies else event


def v1(case: Case) -> dict[str, Any]:
    """A REST API, payload 1.0: every field as a list, the query decoded and grouped by name."""
    path, _, query = case.target.partition("?")
    headers, values = _multi(_fields(case)), _multi(parse_qsl(query, keep_blank_values=True))
    return {
        "resource": "/{path+}",
        "path": path,
        "httpMethod": case.method,
        "headers": {name: each[-1] for name, each in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: each[-1] for name, each in values.items()} or None,
        "multiValueQueryStringParameters": values or None,
        "pathParameters": {"path": path[1:]},
        "stageVariables": None,
        "requestContext": {
            "stage": "live",
            "path": f"/live{path}",
            "httpMethod": case.method,
            "requestId": "1",
            "identity": {"sourceIp": "127.0.0.1", "userAgent": ""},
            "protocol": "HTTP/1.1",
        },
        **_body(case),
    }


def _alb(case: Case) -> tuple[dict[str, Any], Pairs, Pairs]:
    path, _, query = case.target.partition("?")
    sent = [(name.lower(), value) for name, value in _fields(case)]
    passed = [value for name, value in sent if name == "x-forwarded-for"]
    written = [
        ("x-forwarded-for", ", ".join([*passed, "127.0.0.1"])),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-port", "80"),
    ]
    pairs = [(name, value) for name, value in sent if name not in dict(written)] + written
    crumbs = [part.partition("=") for part in query.split("&")] if query else []
    event = {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/x/1"}},
        "httpMethod": case.method,
        "path": path,
        **_body(case),
    }
    return event, pairs, [(name, value) for name, _, value in crumbs]


def alb(case: Case) -> dict[str, Any]:
    """A load balancer with multi-value headers: the query as it was sent, grouped by name."""
    event, pairs, query = _alb(case)
    return {**event, "multiValueHeaders": _multi(pairs), "multiValueQueryStringParameters": _multi(query)}


def alb_single(case: Case) -> dict[str, Any]:
    """A load balancer without: the last of equal names wins, in both directions."""
    event, pairs, query = _alb(case)
    return {**event, "headers": dict(pairs), "queryStringParameters": dict(query)}


MAKERS: dict[str, Callable[[Case], dict[str, Any]]] = {"v2": v2, "v1": v1, "alb": alb, "alb-single": alb_single}


def to_answer(made: dict[str, Any], kind: str) -> Answer:
    """What the service sends to the client for a function's answer; one that it does not take is a 502."""
    allowed = {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded", "statusDescription"}
    if kind == "v2":
        allowed.add("cookies")
    if not isinstance(made.get("statusCode"), int) or set(made) - allowed:
        return 502, [], b""
    headers = made.get("headers") or {}
    many = made.get("multiValueHeaders") or {}
    if any(not isinstance(value, str) for value in headers.values()):
        return 502, [], b""
    pairs = [(name.lower(), value) for name, value in headers.items()]
    if kind in ("v1", "alb"):
        pairs += [(name.lower(), value) for name, values in many.items() for value in values]
    pairs += [("set-cookie", value) for value in made.get("cookies", ())]
    text = made.get("body") or ""
    return made["statusCode"], pairs, b64decode(text) if made.get("isBase64Encoded") else text.encode()


def from_stream(data: bytes) -> Answer:
    """What a Function URL makes of a streamed answer: a prelude, eight NULs, the body."""
    prelude, _, body = data.partition(b"\0" * 8)
    head = json.loads(prelude)
    pairs = [(name.lower(), value) for name, value in head["headers"].items()]
    return head["statusCode"], pairs + [("set-cookie", value) for value in head.get("cookies", ())], body
