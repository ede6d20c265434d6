"""AWS Lambda: one function as a zip, and a plain CloudFormation template around it.

The zip holds the app, Turnout without its server and tools, and the project's packages, with byte
code. Both ways to run are in it: AWS's own runtime client calls ``lambda_function.handler``; with
``lambda_runtime = "loop"`` the script ``bootstrap`` puts Turnout's own in its place, by the hook
``AWS_LAMBDA_EXEC_WRAPPER``. Nothing is uploaded: the report says which commands would.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from .read import Schedule
from .target import Refusal, Use, of_one

if TYPE_CHECKING:
    from ..config import DeployConfig
    from .builder import Builder

# uvloop and httptools are the native server's; the AWS SDK is there already.
DROPPED = frozenset({"uvloop", "httptools", "boto3", "botocore", "s3transfer", "jmespath"})
ZIP_BYTES, UNPACKED_BYTES = 50_000_000, 250_000_000
ALB_BODY_BYTES, BODY_BYTES = 1_000_000, 6_000_000
URL_S, API_S = 900, 29
SPARE_S = 5  # of the function's timeout, for after() work and our own answer to a handler that is too slow

HANDLER = '''"""What AWS's own runtime client calls."""

from pathlib import Path

from turnout.built import lambda_handler

handler = lambda_handler(Path(__file__).parent)
'''
LOOP = '''"""Turnout's own client of the Lambda Runtime API."""

import gc

gc.disable()  # until the first answer

import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
python = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
# Started without the site module, which costs time; where the runtime keeps its SDK and its layers:
others = [each for each in sys.path if each != here]
sys.path[:] = [here, *others, f"/opt/{python}", "/opt/python", f"/var/lang/{python}"]

from turnout.built import lambda_loop  # noqa: E402

lambda_loop(here)
'''
BOOTSTRAP = """#!/bin/sh
# AWS_LAMBDA_EXEC_WRAPPER: Lambda starts this with its own command, of which only the interpreter is kept.
here=$(dirname "$0")
exec "${1:-python3}" -s -S -X frozen_modules=on "$here/turnout_loop.py"
"""


class Target:
    """See ``target.Target``."""

    name = "aws-lambda"
    lasting = False

    def __init__(self, config: DeployConfig) -> None:
        self.config = config

    def detect(self, env: Mapping[str, str]) -> bool:
        """No build service says that what it builds is a function."""
        return False

    @property
    def streams(self) -> bool:
        """Whether an answer can leave while it is made."""
        return self.config.lambda_runtime == "loop" and self.config.lambda_events == "url"

    def judge(self, use: Use) -> Refusal | None:
        """A function handles one request, keeps nothing and is frozen in between."""
        if use.feature == "streaming" and not self.streams:
            return Refusal(
                "AWS's runtime client and API Gateway do not stream",
                'set lambda_runtime = "loop" and lambda_events = "url" under [tool.turnout.deploy]',
            )
        if use.feature == "after" and self.config.lambda_runtime == "managed":
            return Refusal("here it runs before the answer leaves", 'lambda_runtime = "loop"', fatal=False)
        if use.feature == "background":
            return Refusal(
                "a function is frozen once its answer is out",
                "use after(), or a task that turnout start runs elsewhere",
            )
        if use.feature == "files":
            return Refusal("only /tmp can be written, and it is lost", "write to a database or to object storage")
        return of_one(use, "instance") or self._judge_amount(use)

    def _judge_amount(self, use: Use) -> Refusal | None:
        events = self.config.lambda_events
        most_bytes = ALB_BODY_BYTES if events == "alb" else BODY_BYTES
        if use.feature == "body" and use.amount > most_bytes:
            return Refusal(
                f"a request has {most_bytes:,} bytes at most, base64 included",
                "lower it, and let large files be sent to object storage directly",
            )
        most_s = URL_S - SPARE_S if events in ("url", "alb") else API_S
        if use.feature == "duration" and use.amount > most_s:
            cure = "lower it" if events in ("url", "alb") else 'lower it, or set lambda_events = "url"'
            return Refusal(f"a request has {most_s} s at most", cure)
        return None

    def adapt(self, builder: Builder) -> None:
        """The folder of the function, its zip, the template."""
        folder = builder.out / "function"
        builder.write_app(folder)
        (folder / "lambda_function.py").write_text(HANDLER)
        (folder / "turnout_loop.py").write_text(LOOP)
        builder.vendor(folder, DROPPED, ("aws_lambda", "aws_lambda_loop"))
        builder.compile(folder)
        (folder / "bootstrap").write_text(BOOTSTRAP)
        (folder / "bootstrap").chmod(0o755)
        write_zip(folder, builder.out / "function.zip")
        check_sizes(folder, builder.out / "function.zip")
        text = json.dumps(self.template(builder), indent=1)
        (builder.out / "template.json").write_text(text + "\n")

    def preview(self, out: Path) -> list[str]:
        """The function behind HTTP: its handler on this machine, without AWS."""
        return [sys.executable, "-m", "turnout.deploy.preview", str(out / "function")]

    # -- the template

    def template(self, builder: Builder) -> dict[str, Any]:
        """CloudFormation: the function, its role and log, what calls it, its schedules."""
        name: dict[str, str] = {"Ref": "AWS::StackName"}
        names = self.config.environment
        parameters: dict[str, Any] = {
            "CodeBucket": {"Type": "String", "Description": "Bucket that function.zip was copied to"},
            "CodeKey": {"Type": "String", "Default": "function.zip"},
        }
        parameters |= {
            _logical(each): {"Type": "String", "NoEcho": True, "Description": f"Value of {each}"} for each in names
        }
        resources: dict[str, Any] = {
            "Log": {
                "Type": "AWS::Logs::LogGroup",
                "DeletionPolicy": "Delete",
                "UpdateReplacePolicy": "Delete",
                "Properties": {
                    "LogGroupName": {"Fn::Sub": "/aws/lambda/${AWS::StackName}"},
                    "RetentionInDays": self.config.lambda_log_days,
                },
            },
            "Role": _role("lambda.amazonaws.com", [_log_policy()]),
            "Function": {
                "Type": "AWS::Lambda::Function",
                "DependsOn": "Log",
                "Properties": {
                    "FunctionName": name,
                    "Runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
                    "Architectures": ["x86_64"],
                    "Handler": "lambda_function.handler",
                    "Code": {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}},
                    "MemorySize": self.config.lambda_memory_mb,
                    "Timeout": self._timeout_s(builder),
                    "Role": {"Fn::GetAtt": ["Role", "Arn"]},
                    "Environment": {"Variables": self._variables()},
                },
            },
        }
        outputs: dict[str, Any] = {"Function": {"Value": {"Fn::GetAtt": ["Function", "Arn"]}}}
        self._add_events(resources, outputs)
        for schedule in builder.schedules:
            _add_schedule(schedule, resources)
        return {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": "Written by turnout build",
            "Parameters": parameters,
            "Resources": resources,
            "Outputs": outputs,
        }

    def _timeout_s(self, builder: Builder) -> int:
        longest = max(
            [use.amount for route in builder.routes for use in route.uses if use.feature == "duration"] or [0]
        )
        wanted = int(max(longest, builder.config.server.max_duration_s)) + SPARE_S
        return min(wanted, URL_S if self.config.lambda_events in ("url", "alb") else API_S + SPARE_S)

    def _variables(self) -> dict[str, Any]:
        own: dict[str, Any] = {each: {"Ref": _logical(each)} for each in self.config.environment}
        if self.config.lambda_runtime == "loop":
            own["AWS_LAMBDA_EXEC_WRAPPER"] = "/var/task/bootstrap"
            if self.streams:
                own["TURNOUT_LAMBDA_STREAM"] = "1"
        return {"TURNOUT_MODE": "production", **own}

    def _add_events(self, resources: dict[str, Any], outputs: dict[str, Any]) -> None:
        events = self.config.lambda_events
        if events == "url":
            mode = "RESPONSE_STREAM" if self.streams else "BUFFERED"
            resources["Url"] = {
                "Type": "AWS::Lambda::Url",
                "Properties": {
                    "AuthType": "NONE",
                    "InvokeMode": mode,
                    "TargetFunctionArn": {"Fn::GetAtt": ["Function", "Arn"]},
                },
            }
            # Both are wanted of URLs made since October 2025; the second holds for calls through the URL only.
            resources["UrlPermission"] = _permission("*", "lambda:InvokeFunctionUrl", FunctionUrlAuthType="NONE")
            resources["CallPermission"] = _permission("*", InvokedViaFunctionUrl=True)
            outputs["Url"] = {"Value": {"Fn::GetAtt": ["Url", "FunctionUrl"]}}
        elif events == "http-api":
            _add_http_api(resources, outputs)
        elif events == "rest-api":
            _add_rest_api(resources, outputs)
        else:  # the balancer is somebody else's: it only has to be allowed in
            resources["AlbPermission"] = _permission("elasticloadbalancing.amazonaws.com")


def _logical(name: str) -> str:
    """An environment name as a template may call a parameter: letters and digits."""
    return "".join(part.capitalize() for part in name.split("_"))


def _role(service: str, policies: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "Type": "AWS::IAM::Role",
        "Properties": {
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
            },
            "Policies": policies,
        },
    }


def _policy(name: str, actions: list[str], resource: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    return {"PolicyName": name, "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]}}


def _log_policy() -> dict[str, Any]:
    return _policy("log", ["logs:CreateLogStream", "logs:PutLogEvents"], {"Fn::GetAtt": ["Log", "Arn"]})


def _permission(principal: str, action: str = "lambda:InvokeFunction", **more: Any) -> dict[str, Any]:
    own = {"FunctionName": {"Ref": "Function"}, "Action": action, "Principal": principal, **more}
    return {"Type": "AWS::Lambda::Permission", "Properties": own}


def _add_http_api(resources: dict[str, Any], outputs: dict[str, Any]) -> None:
    api = {"Ref": "Api"}
    resources["Api"] = {
        "Type": "AWS::ApiGatewayV2::Api",
        "Properties": {"Name": {"Ref": "AWS::StackName"}, "ProtocolType": "HTTP"},
    }
    resources["Integration"] = {
        "Type": "AWS::ApiGatewayV2::Integration",
        "Properties": {
            "ApiId": api,
            "IntegrationType": "AWS_PROXY",
            "IntegrationUri": {"Fn::GetAtt": ["Function", "Arn"]},
            "PayloadFormatVersion": "2.0",
        },
    }
    resources["Route"] = {
        "Type": "AWS::ApiGatewayV2::Route",
        "Properties": {"ApiId": api, "RouteKey": "$default", "Target": {"Fn::Sub": "integrations/${Integration}"}},
    }
    resources["Stage"] = {
        "Type": "AWS::ApiGatewayV2::Stage",
        "Properties": {"ApiId": api, "StageName": "$default", "AutoDeploy": True},
    }
    source = {"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"}
    resources["ApiPermission"] = _permission("apigateway.amazonaws.com", SourceArn=source)
    outputs["Url"] = {"Value": {"Fn::GetAtt": ["Api", "ApiEndpoint"]}}


def _add_rest_api(resources: dict[str, Any], outputs: dict[str, Any]) -> None:
    uri = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Function.Arn}/invocations"
    integration = {"Type": "AWS_PROXY", "IntegrationHttpMethod": "POST", "Uri": {"Fn::Sub": uri}}
    resources["Api"] = {
        "Type": "AWS::ApiGateway::RestApi",
        # Without these an answer that is no text would arrive in base64.
        "Properties": {"Name": {"Ref": "AWS::StackName"}, "BinaryMediaTypes": ["*/*"]},
    }
    root, api = {"Fn::GetAtt": ["Api", "RootResourceId"]}, {"Ref": "Api"}
    resources["Paths"] = {
        "Type": "AWS::ApiGateway::Resource",
        "Properties": {"RestApiId": api, "ParentId": root, "PathPart": "{path+}"},
    }
    for name, resource in (("RootMethod", root), ("PathsMethod", {"Ref": "Paths"})):
        resources[name] = {
            "Type": "AWS::ApiGateway::Method",
            "Properties": {
                "RestApiId": api,
                "ResourceId": resource,
                "HttpMethod": "ANY",
                "AuthorizationType": "NONE",
                "Integration": integration,
            },
        }
    resources["Deployment"] = {
        "Type": "AWS::ApiGateway::Deployment",
        "DependsOn": ["RootMethod", "PathsMethod"],
        "Properties": {"RestApiId": api},
    }
    resources["Stage"] = {
        "Type": "AWS::ApiGateway::Stage",
        "Properties": {"RestApiId": api, "DeploymentId": {"Ref": "Deployment"}, "StageName": "live"},
    }
    source = {"Fn::Sub": "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"}
    resources["ApiPermission"] = _permission("apigateway.amazonaws.com", SourceArn=source)
    url = "https://${Api}.execute-api.${AWS::Region}.${AWS::URLSuffix}/live"
    outputs["Url"] = {"Value": {"Fn::Sub": url}}


def _add_schedule(schedule: Schedule, resources: dict[str, Any]) -> None:
    resources.setdefault(
        "SchedulerRole",
        _role(
            "scheduler.amazonaws.com",
            [_policy("invoke", ["lambda:InvokeFunction"], {"Fn::GetAtt": ["Function", "Arn"]})],
        ),
    )
    event = {"source": "turnout.schedule", "task": schedule.task}
    resources[f"Schedule{_logical(schedule.task)}"] = {
        "Type": "AWS::Scheduler::Schedule",
        "Properties": {
            "ScheduleExpression": to_aws_cron(schedule),
            "ScheduleExpressionTimezone": schedule.timezone,
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {
                "Arn": {"Fn::GetAtt": ["Function", "Arn"]},
                "RoleArn": {"Fn::GetAtt": ["SchedulerRole", "Arn"]},
                "Input": json.dumps(event),
            },
        },
    }


_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")


def to_aws_cron(schedule: Schedule) -> str:
    """A cron expression as EventBridge writes it: with a year, days by name, and ``?`` for one of the two kinds of day.

    Raises:
        ConfigError: it has seconds, or names days of the month and of the week, which EventBridge cannot say.
    """
    fields = schedule.cron.split()
    if len(fields) != 5:
        raise ConfigError(
            f"the task {schedule.task} is scheduled with seconds, which EventBridge has not",
            file=schedule.file, line=schedule.line, cure="write five fields: minute hour day month weekday",
        )  # fmt: skip
    minute, hour, day, month, weekday = fields
    if day != "*" and weekday != "*":
        raise ConfigError(
            f"the task {schedule.task} names days of the month and of the week, of which EventBridge takes one",
            file=schedule.file, line=schedule.line, cure="write * for one of them, and make two tasks of it",
        )  # fmt: skip
    if weekday == "*":
        return f"cron({minute} {hour} {day} {month} ? *)"
    words = weekday.partition("/")
    named = "".join(_DAYS[int(sign)] if sign in "01234567" else sign for sign in words[0])
    return f"cron({minute} {hour} ? {month} {named}{words[1]}{words[2]} *)"


# -- the zip


def write_zip(folder: Path, file: Path) -> None:
    """All of *folder*, in one order and with one date, so that equal contents make equal zips."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, on every machine
            entry.external_attr = (0o100755 if path.name == "bootstrap" or path.suffix == ".so" else 0o100644) << 16
            made.writestr(entry, path.read_bytes())


def check_sizes(folder: Path, file: Path) -> None:
    """Refuse what Lambda would.

    Raises:
        ConfigError: the zip or its contents are over the limit; with the largest packages.
    """
    unpacked = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if file.stat().st_size <= ZIP_BYTES and unpacked <= UNPACKED_BYTES:
        return
    sizes = {
        top.name: sum(path.stat().st_size for path in top.rglob("*") if path.is_file())
        for top in folder.iterdir()
        if top.is_dir()
    }
    largest = sorted(sizes.items(), key=lambda each: -each[1])[:3]
    raise ConfigError(
        f"the function has {unpacked / 1e6:.0f} MB ({file.stat().st_size / 1e6:.0f} MB as a zip), and Lambda takes "
        f"{UNPACKED_BYTES / 1e6:.0f} ({ZIP_BYTES / 1e6:.0f})",
        cure="drop what it does not need; the largest: "
        + ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in largest),
    )
