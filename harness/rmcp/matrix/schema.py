"""The JSON Schema of the matrix file, for editors. The only module here that imports pydantic.

Reading does not use it: the reader reports every mistake with its place, which a schema cannot. A test holds
the keys of both against each other.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from rmcp.matrix.document import MATRIX_FORMAT
from rmcp.words import Cause, Outcome

Scalar = str | int | float | bool | None
Name = Annotated[str | int | float | bool, Field(description="letters, digits and . _ + -")]
Names = Name | list[Name]
Text = str | int | float
Duration = Annotated[Text, Field(description="90s, 2m, 500ms, 1h; a plain number is seconds")]
Words = dict[str, Text | list[Text]]
Condition = Annotated[str, Field(description="an expression such as `dtype == float16 and h >= 44`")]
Match = Annotated[dict[str, Names], Field(description="axis: value, pattern, or a list of them; all must match")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Timeouts(_Strict):
    """Budgets of a case."""

    start: Duration | None = Field(None, description="start of the interpreter and import")
    case: Duration | None = Field(None, description="a case's whole life")
    silent: Duration | None = Field(None, description="longest time without a heartbeat before it counts as hung")


class Runtime(_Strict):
    """A Python with a PyTorch."""

    python: str | None = Field(None, description="an interpreter; relative paths start at the matrix")
    prefix: str | None = Field(None, description="an unpacked ROCm, put before the interpreter's libraries")
    image: str | None = Field(None, description="a container image")
    engine: Literal["podman", "docker"] | None = None
    options: str | list[str] | None = Field(None, description="further arguments for the engine")


class Patch(_Strict):
    """What changes in a case."""

    args: dict[str, Any] | None = Field(None, description="arguments of the workload, typed as YAML 1.2 does")
    env: dict[str, Text | bool | None] | None = Field(None, description="variables; null removes one")
    runtime: Runtime | None = None
    timeout: Timeouts | Duration | None = None
    workload: str | None = Field(None, description="conv2d, package.module:function or path/to/file.py:function")
    device: str | None = Field(None, description="auto, cpu, cuda, cuda:1, rocm ...")
    seed: int | None = Field(None, ge=0)
    threads: int | None = Field(None, ge=1, description="intra-op threads on a CPU")


class Value(Patch):
    """One value of an axis."""

    doc: str | None = None


class Axis(_Strict):
    """The long form of an axis."""

    role: Literal["compare", "factor"] | None = Field(None, description="compare: report columns, never reduced")
    type: Literal["text", "number", "version"] | None = Field(None, description="how < and >= compare its values")
    default: Name | None = Field(None, description="left out of ids and keys")
    doc: str | None = None
    values: list[Name] | dict[str, Value | None]


class Exclude(_Strict):
    """Cases that do not exist."""

    match: Match | None = None
    where: Condition | None = None
    reason: str | None = None


class Reduce(_Strict):
    """A covering array over the axes that are not compared."""

    strength: int = Field(2, ge=1, le=6)
    lock: str | None = Field(None, description="file that keeps the rows stable under edits")


class Setting(Patch):
    """A patch for some of the cases."""

    match: Match | None = None
    where: Condition | None = None


class Requirement(_Strict):
    """What must hold on the machine, else the case is `unsupported`."""

    match: Match | None = None
    where: Condition | None = None
    needs: Condition | Words
    reason: str | None = None


class Expectation(_Strict):
    """A failure that is known."""

    match: Match | None = None
    where: Condition | None = None
    outcome: Outcome | list[Outcome]
    cause: Cause | list[Cause] | None = None
    signal: str | list[str] | None = None
    signature: str | list[str] | None = None
    reason: str
    bug: str | None = None
    until: Annotated[str | None, Field(description="last day, for example 2027-06-30")] = None


class Limits(_Strict):
    """Refusals."""

    cases: int | None = Field(None, ge=1)


class Profile(_Strict):
    """A named way to run the matrix."""

    doc: str | None = None
    select: Condition | None = None
    reduce: Reduce | Literal["none"] | None = None
    set: list[Setting] | None = None
    limits: Limits | None = None


class MatrixFile(_Strict):
    """A test matrix of rmcp."""

    rmcp: Annotated[int, Field(ge=int(MATRIX_FORMAT), le=int(MATRIX_FORMAT), description="version of the format")]
    name: str | None = None
    doc: str | None = None
    defaults: Patch | None = None
    axes: dict[str, list[Name] | Axis]
    exclude: list[Exclude] | None = None
    reduce: Reduce | Literal["none"] | None = None
    add: list[dict[str, Names]] | None = None
    set: list[Setting] | None = None
    requires: list[Requirement] | None = None
    expect: list[Expectation] | None = None
    profiles: dict[str, Profile] | None = None
    limits: Limits | None = None


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a matrix file."""
    schema = MatrixFile.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "rmcp matrix"}
