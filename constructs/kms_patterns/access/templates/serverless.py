"""Templates of the AWS Serverless Application Model, translated by AWS's own translator, offline."""

import json
import logging
from collections.abc import Container, Mapping
from copy import deepcopy
from typing import Any

import boto3

from kms_patterns.access.templates.template_text import NotATemplate

TRANSFORM = "AWS::Serverless-2016-10-31"
_CODE = "s3://code-that-is-not-read/code"
_UPLOADED = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Api": "DefinitionUri",
    "AWS::Serverless::HttpApi": "DefinitionUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
"""Properties that `sam deploy` replaces by what it uploaded; they say nothing of access."""


def translated(template: Mapping[str, Any], file: str, parameters: Mapping[str, str], region: str) -> dict[str, Any]:
    """Return a SAM template as the CloudFormation template that the transform makes of it.

    See https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/transform-aws-serverless.html.

    Args:
        template: The template.
        file: What an error calls it.
        parameters: Values of its parameters; the defaults of others are taken.
        region: The Region that ARNs of AWS managed resources are made for.

    Raises:
        NotATemplate: The translator refuses the template, as it would at deployment.
    """
    from samtranslator.model.exceptions import InvalidDocumentException  # noqa: PLC0415 - half a second
    from samtranslator.parser.parser import Parser  # noqa: PLC0415
    from samtranslator.translator.arn_generator import ArnGenerator  # noqa: PLC0415
    from samtranslator.translator.translator import Translator  # noqa: PLC0415

    logging.getLogger("samtranslator").setLevel(logging.CRITICAL)  # it warns of metrics that it did not publish
    translator = Translator(None, Parser(), boto_session=boto3.session.Session(region_name=region))
    before = ArnGenerator.BOTO_SESSION_REGION_NAME
    ArnGenerator.BOTO_SESSION_REGION_NAME = region
    loops = {name: item for name, item in template["Resources"].items() if name.startswith("Fn::")}
    try:
        found: dict[str, Any] = translator.translate(
            _with_uploads(template, loops), {"AWS::Region": region, **parameters}, get_managed_policy_map=dict
        )
    except InvalidDocumentException as error:
        causes = "; ".join(str(getattr(cause, "message", cause)) for cause in error.causes)
        raise NotATemplate(f"{file}: the SAM translator refuses it: {causes}") from error
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise NotATemplate(f"{file}: the SAM translator fails: {type(error).__name__}: {error}") from error
    finally:
        ArnGenerator.BOTO_SESSION_REGION_NAME = before
    return {**found, "Resources": {**found["Resources"], **loops}}


def _with_uploads(template: Mapping[str, Any], loops: Container[str]) -> dict[str, Any]:
    """Return the template as `sam deploy` sends it: code and definitions on S3; without loops left unexpanded."""
    result = deepcopy({name: value for name, value in template.items() if value != {} or name == "Resources"})
    result["Resources"] = {name: item for name, item in result["Resources"].items() if name not in loops}
    for resource in result["Resources"].values():
        name = _UPLOADED.get(str(resource.get("Type"))) if isinstance(resource, dict) else None
        if name:
            properties = resource.setdefault("Properties", {})
            needed = name != "DefinitionUri" and not {"InlineCode", "ImageUri"} & set(properties)
            needed = needed and properties.get("PackageType") != "Image"
            if needed or name in properties:
                properties[name] = _CODE
            if properties.get("PackageType") == "Image":
                properties.setdefault("ImageUri", "000000000000.dkr.ecr.us-east-1.amazonaws.com/not-read:latest")
    if isinstance(result.get("Globals"), dict):
        for kind in result["Globals"].values():
            if isinstance(kind, dict) and "CodeUri" in kind:
                kind["CodeUri"] = _CODE
    return result


def used(template: Mapping[str, Any]) -> list[str]:
    """Return the parameters with a default that the translator puts into what it makes."""
    resources = template["Resources"].values()
    text = json.dumps([item for item in resources if isinstance(item, Mapping) and _is_serverless(item)])
    named = {name: (json.dumps({"Ref": name}), f"${{{name}}}") for name in template["Parameters"]}
    return sorted(
        name
        for name, forms in named.items()
        if "Default" in template["Parameters"][name] and any(form in text for form in forms)
    )


def _is_serverless(resource: Mapping[str, Any]) -> bool:
    return str(resource.get("Type")).startswith("AWS::Serverless::")
