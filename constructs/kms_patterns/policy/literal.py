"""Policy documents as text to paste: CloudFormation's references as what they will be, as far as that is known."""

from typing import Any

from aws_cdk import Stack, Token, region_info


def literal(value: Any, stack: Stack) -> Any:
    """Return ``value``, resolved in ``stack``, without intrinsic functions.

    Account, Region and partition are those of the stack if it names them; what only the deployment knows stands in
    angle brackets, such as ``<Bucket83908E77.Arn>``.
    """
    region, account = (None if Token.is_unresolved(it) else it for it in (stack.region, stack.account))
    known = {
        "AWS::AccountId": account or "<account id>",
        "AWS::Region": region or "<Region>",
        "AWS::Partition": (region and region_info.RegionInfo.get(region).partition) or "aws",
        "AWS::URLSuffix": (region and region_info.RegionInfo.get(region).domain_suffix) or "amazonaws.com",
    }
    return _rendered(stack.resolve(value), known)


def _rendered(value: Any, known: dict[str, str]) -> Any:
    """Fn::ImportValue and its like keep their form: the value is another stack's."""
    match value:
        case {"Fn::Join": [separator, list(parts)]}:
            return str(separator).join(str(_rendered(part, known)) for part in parts)
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{resource}.{attribute}>"
        case {"Ref": name}:
            return known.get(name, f"<{name}>")
        case dict():
            return {_rendered(name, known): _rendered(part, known) for name, part in value.items()}
        case list():
            return [_rendered(part, known) for part in value]
        case _:
            return value
