"""The contract of a project: every operation that its routes offer, read from the code that serves them.

contract = read(load_project("."))
document = openapi(contract)
"""

from __future__ import annotations

from .model import Answer, Content, Contract, Cors, Operation, Parameter, Schema
from .openapi import openapi
from .read import read

__all__ = ["Answer", "Content", "Contract", "Cors", "Operation", "Parameter", "Schema", "openapi", "read"]
