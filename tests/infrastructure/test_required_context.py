"""The encryption context that a pattern requires, checked before anything is deployed."""

import json

import pytest
from aws_cdk import Fn

from kms_patterns.functions.required_context import required_context


def test_fixed_pairs_and_names_reach_the_function_as_json() -> None:
    context = required_context({"b": "2", "a": "1"}, ["tenant"])
    assert {name: json.loads(value) for name, value in context.environment.items()} == {
        "ENCRYPTION_CONTEXT": {"a": "1", "b": "2"},
        "REQUIRED_CONTEXT_KEYS": ["tenant"],
    }


def test_no_context_is_an_empty_object_and_an_empty_list() -> None:
    assert required_context(None, []).environment == {"ENCRYPTION_CONTEXT": "{}", "REQUIRED_CONTEXT_KEYS": "[]"}


def test_required_name_with_a_fixed_value_needs_none_from_the_caller() -> None:
    context = required_context({"tenant": "a"}, ["tenant", "purpose", "purpose"])
    assert context.names == ("purpose",)


def test_fixed_value_known_at_deployment_only_is_accepted() -> None:
    value = Fn.import_value("tenant")
    assert required_context({"tenant": value}, []).fixed == {"tenant": value}


@pytest.mark.parametrize("name", ["", " tenant", "tenant ", "aws-crypto-public-key", "AWS-Crypto-x"])
def test_name_that_no_call_could_match_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"is empty or padded with blanks|is reserved"):
        required_context(None, [name])
    with pytest.raises(ValueError, match=r"is empty or padded with blanks|is reserved"):
        required_context({name: "x"}, [])


def test_empty_fixed_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encryption_context\['tenant'\] is empty"):
        required_context({"tenant": ""}, [])


def test_names_that_iam_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\['tenant'\] differ in case only"):
        required_context({"Tenant": "a"}, ["tenant"])


def test_string_instead_of_a_list_of_names_is_refused() -> None:
    with pytest.raises(TypeError, match="'tenant': give a list of names"):
        required_context(None, "tenant")
