"""From a template file to the template that CloudFormation acts on: parsed, with values given, transforms applied.

Templates of the AWS Serverless Application Model are translated by AWS's own translator, offline.
"""

import json
import logging
import re
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from kms_patterns.access.templates import language_extensions
from kms_patterns.access.templates.template_text import NotATemplate, checked, template_of

SERVERLESS = "AWS::Serverless-2016-10-31"
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


_LISTS = ("CommaDelimitedList", "List<")


@dataclass(frozen=True)
class Given:
    """What only a deployment decides, as far as the caller says it.

    Attributes:
        parameters: Values of template parameters by name; ``Stack:Name`` is about one stack.
        account: The account of environment-agnostic stacks; None if it is not known.
        region: Their Region; None if it is not known.
        partly: Whether a parameter may be one that only another source declares.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    account: str | None = None
    region: str | None = None
    partly: bool = False

    def __post_init__(self) -> None:
        """Refuse what is neither an account nor a Region: no ARN of a policy would match."""
        if self.account is not None and not re.fullmatch(r"[0-9]{12}", self.account):
            raise NotATemplate(f"--account {self.account!r} is not an account id of twelve digits")
        if self.region is not None and not re.fullmatch(r"[a-z]+(-[a-z]+)+-[0-9]+", self.region):
            raise NotATemplate(f"--region {self.region!r} is not a Region, such as eu-west-1")

    def of_stack(self, name: str) -> dict[str, str]:
        """Return the parameter values for one stack: those said of it before those said of all."""
        own = f"{name}:"
        everywhere = {key: value for key, value in self.parameters.items() if ":" not in key}
        return everywhere | {
            key.removeprefix(own): value for key, value in self.parameters.items() if key.startswith(own)
        }


@dataclass(frozen=True)
class ReadTemplate:
    """A template as CloudFormation acts on it.

    Attributes:
        template: The template, with every section, its transforms applied.
        given: Values of its parameters that the caller gave.
        notes: What of it was not read: logical id (empty for the whole template), what, and why.
    """

    template: Mapping[str, Any]
    given: Mapping[str, str]
    notes: Sequence[tuple[str, str, str]]


def read_template(path: Path, given: Mapping[str, str], *, region: str, synthesized: bool = False) -> ReadTemplate:
    """Read one template file.

    Args:
        path: A file in JSON or YAML.
        given: Values of its parameters; names that it does not declare are left to other templates.
        region: The Region that it is deployed in, or what stands for an unknown one.
        synthesized: Whether an assembly's manifest names it, see ``template_of``.

    Raises:
        NotATemplate: It is not a template, a value is not allowed for its parameter, or a transform refuses it.
    """
    return applied(template_of(path, synthesized=synthesized), str(path), given, region=region)


def applied(template: dict[str, Any], file: str, given: Mapping[str, str], *, region: str) -> ReadTemplate:
    """Return a checked template with its transforms applied; see ``read_template``."""
    declared = template["Parameters"]
    own = {name: _allowed(file, name, value, declared[name]) for name, value in given.items() if name in declared}
    notes: list[tuple[str, str, str]] = []
    left = _transforms(template)
    if language_extensions.TRANSFORM in left:
        values = _values(declared, own)
        extensions = language_extensions.Extensions(template, file, values)
        template = checked(extensions.expanded(), file)
        notes += [(loop, "resources of a loop", why) for loop, why in extensions.loops.items()]
        notes += [_assumed(name, declared[name]) for name in sorted(extensions.used - set(own))]
        left.remove(language_extensions.TRANSFORM)
    if SERVERLESS in left:
        notes += [_assumed(name, declared[name]) for name in used(template) if name not in own]
        template = checked(translated(template, file, own, region), file)
        left.remove(SERVERLESS)
    return ReadTemplate({**template, "Transform": left}, own, notes)


def _assumed(name: str, parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    return "", f"Ref {name}", f"the parameter's default is assumed: {parameter['Default']}"


def _transforms(template: Mapping[str, Any]) -> list[str]:
    value = template.get("Transform")
    items = value if isinstance(value, list) else [value]
    return [str(item.get("Name", item)) if isinstance(item, Mapping) else str(item) for item in items if item]


def _values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | list[str]]:
    found: dict[str, str | list[str]] = {}
    for name, parameter in declared.items():
        kind = str(parameter.get("Type", ""))
        value = given.get(name, None if kind.startswith("AWS::SSM::") else parameter.get("Default"))
        if value is not None:
            found[name] = [item.strip() for item in str(value).split(",")] if kind.startswith(_LISTS) else str(value)
    return found


def _allowed(file: str, name: str, value: str, parameter: Mapping[str, Any]) -> str:
    allowed, pattern = parameter.get("AllowedValues"), parameter.get("AllowedPattern")
    if isinstance(allowed, list) and value not in {str(item) for item in allowed}:
        raise NotATemplate(f"{file}: parameter {name} is {value!r}, the template allows {allowed}")
    with suppress(re.error):  # one of Java that Python does not read
        if isinstance(pattern, str) and not re.fullmatch(pattern, value):
            raise NotATemplate(f"{file}: parameter {name} is {value!r}, the template allows {pattern}")
    if parameter.get("Type") == "Number" and not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        raise NotATemplate(f"{file}: parameter {name} is {value!r}, the template takes a number")
    return value


Unknown = Callable[[str, str], Any]


def default_of(name: str, parameter: Mapping[str, Any] | None, unknown: Unknown, assumed: Unknown) -> Any:
    """Return a parameter's default, split if it is a list; one without default is listed.

    Args:
        name: The parameter.
        parameter: Its declaration; None if the template has none.
        unknown: Lists what cannot be told, and why, and returns what stands for it.
        assumed: Lists what is only assumed.
    """
    if parameter is None:
        return unknown(f"Ref {name}", "the template defines no such resource or parameter")
    kind = str(parameter.get("Type", ""))
    if kind.startswith("AWS::SSM::"):
        return unknown(f"Ref {name}", "the parameter is read from Parameter Store at deployment")
    if "Default" not in parameter:
        value = unknown(f"Ref {name}", "the parameter has no default")
        return [value] if _is_list(kind) else value
    default = parameter["Default"]
    assumed(f"Ref {name}", f"the parameter's default is assumed: {default}")
    return [item.strip() for item in str(default).split(",")] if _is_list(kind) else default


def given_value(value: str, parameter: Mapping[str, Any]) -> Any:
    """Return a parameter value that the caller gave, split if the parameter is a list."""
    return [item.strip() for item in value.split(",")] if _is_list(str(parameter.get("Type", ""))) else value


def _is_list(kind: str) -> bool:
    return kind == "CommaDelimitedList" or kind.startswith("List<")
