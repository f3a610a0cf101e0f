"""The custom resource of ``KeyGrant``: it waits for principals that are new, and always tells CloudFormation."""

import ast
import json
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from kms_runtime.handlers import key_grant

KEY = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
GRANT = {"KeyId": KEY, "GranteePrincipal": "arn:aws:iam::111122223333:role/new", "Operations": ["Decrypt"], "Name": "n"}


class Kms:
    def __init__(self, *errors):
        self.errors, self.calls = list(errors), []

    def _call(self, name, request):
        self.calls.append((name, request))
        if self.errors:
            raise ClientError({"Error": {"Code": self.errors.pop(0), "Message": "no"}}, name)
        return {"GrantId": "grant-1"}

    def create_grant(self, **request):
        return self._call("CreateGrant", request)

    def revoke_grant(self, **request):
        return self._call("RevokeGrant", request)


@pytest.fixture
def handle(monkeypatch):
    """Handle a request with a KMS that answers with these errors first; return its calls and the response."""

    def run(kind, *errors, **event):
        kms, responses, clock = Kms(*errors), [], [0.0]
        monkeypatch.setattr(key_grant.boto3, "client", lambda _: kms)
        monkeypatch.setattr(key_grant.time, "monotonic", lambda: clock[0])
        monkeypatch.setattr(key_grant.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
        monkeypatch.setattr(key_grant, "urlopen", lambda request, timeout: responses.append(request) or request)
        monkeypatch.setattr(key_grant.Request, "close", lambda _: None, raising=False)
        common = {"StackId": "s", "RequestId": "r", "LogicalResourceId": "l", "ResponseURL": "https://example.com/x"}
        key_grant.handle({**common, "RequestType": kind, "ResourceProperties": {"Grant": GRANT}, **event}, None)
        (sent,) = responses
        assert (sent.method, sent.full_url) == ("PUT", common["ResponseURL"])
        return kms.calls, json.loads(sent.data)

    return run


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_grant_is_created_as_its_properties_say(handle, kind):
    calls, response = handle(kind, PhysicalResourceId="grant-0")
    assert calls == [("CreateGrant", GRANT)]
    assert response == {
        "Status": "SUCCESS", "PhysicalResourceId": "grant-1", "Data": {"GrantId": "grant-1"},
        "StackId": "s", "RequestId": "r", "LogicalResourceId": "l",
    }  # fmt: skip


@pytest.mark.parametrize("code", sorted(key_grant.NOT_KNOWN_YET))
def test_new_principal_is_waited_for(handle, code):
    calls, response = handle("Create", code, code)
    assert (len(calls), response["Status"]) == (3, "SUCCESS")


def test_principal_that_never_appears_fails_the_resource(handle):
    calls, response = handle("Create", *["InvalidArnException"] * 100)
    assert 20 < len(calls) < 30
    assert response["Status"] == "FAILED"
    assert "InvalidArnException" in response["Reason"]


def test_other_error_fails_at_once_and_its_deletion_revokes_nothing(handle):
    calls, response = handle("Create", "LimitExceededException")
    assert (len(calls), response["Status"]) == (1, "FAILED")
    assert handle("Delete", PhysicalResourceId=response["PhysicalResourceId"])[0] == []


@pytest.mark.parametrize(("errors", "status"), [([], "SUCCESS"), (["NotFoundException"], "SUCCESS"),
                                                (["AccessDeniedException"], "FAILED")])  # fmt: skip
def test_deletion_revokes_the_grant(handle, errors, status):
    calls, response = handle("Delete", *errors, PhysicalResourceId="grant-1")
    assert calls == [("RevokeGrant", {"KeyId": KEY, "GrantId": "grant-1"})]
    assert (response["Status"], response["PhysicalResourceId"]) == (status, "grant-1")


def test_code_fits_into_a_template_and_needs_what_lambda_has():
    source = Path(key_grant.__file__).read_text()
    modules = {node.module for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)}
    assert modules == {"botocore.exceptions", "typing", "urllib.request"}
    assert len(source) <= 4096
