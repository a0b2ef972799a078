"""/openapi.json tells of exactly the routes there are, and of codes that exist."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from bundles.errors import known_errors
from goosed_daemon.admin import operations
from goosed_daemon.web.app import create_app
from tests.daemon.web_site import Lab


@pytest.fixture
async def described(lab: Lab) -> Any:
    return await (await lab.get("/openapi.json")).json()


def test_it_is_an_openapi_document(described: Any) -> None:
    OpenAPIV31SpecValidator(described).validate()
    assert described["openapi"].startswith("3.1")


async def test_it_names_exactly_the_routes_of_the_application(lab: Lab, described: Any) -> None:
    served = set()
    for route in create_app(lab.deps).router.routes():
        assert isinstance(route.resource, web.Resource)
        served.add((route.method, route.resource.canonical))
    told = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
    heads = {("HEAD", path) for method, path in told if method == "GET"}
    assert told | heads == served


def test_every_operation_says_who_may_and_how_it_is_refused(described: Any) -> None:
    for operation in operations.ALL:
        told = described["paths"][operation.path][operation.method.lower()]
        assert told["security"] == [{"bearer": []}]
        assert f"role {operation.role} " in told["description"]
        assert {str(operation.status), "400", "401", "403", "429", "503"} <= set(told["responses"])
        assert ("requestBody" in told) == (operation.body is not None)
    open_to_all = {
        path
        for path, item in described["paths"].items()
        for told in item.values()
        if told["security"] == []
    }
    asked = {operation.path for operation in operations.ALL}
    assert not open_to_all & asked
    assert {path for path in open_to_all if path.startswith(("/v1/", "/v2/"))} == {
        "/v1/boot/ipxe",
        "/v1/boot/grub",
        "/v1/boot/ca.crt",
        "/v1/boot/windows/{name}",
        "/v1/boot/ca/{release}.img",
        "/v1/render/{installer}",
        "/v1/artifacts/{bundle}/{path}",
        "/v1/machines/{mac}/progress",
        "/v1/agents/register",
        "/v1/agents/heartbeat",
        "/v1/agents/token/refresh",
        "/v2/",
        "/v2/{name}/manifests/{reference}",
        "/v2/{name}/blobs/{digest}",
        "/v2/{name}/tags/list",
    }, "who adds a route that nobody is asked a token for says so here"


def test_refusals_are_the_one_envelope_and_their_codes_exist(described: Any) -> None:
    codes = {cls.code for cls in known_errors()}
    for path, item in described["paths"].items():
        envelope = "OciEnvelope" if path.startswith("/v2/") else "Envelope"
        for told in item.values():
            for status, answer in told["responses"].items():
                schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                if status < "400" or schema.get("$ref", "").endswith("/Readiness") or not schema:
                    continue
                assert schema == {"$ref": f"#/components/schemas/{envelope}"}
                named = set(re.split(r", ", answer["description"]))
                assert named <= codes, named - codes


def test_operation_ids_differ(described: Any) -> None:
    ids = [told["operationId"] for item in described["paths"].values() for told in item.values()]
    assert len(ids) == len(set(ids))
