"""The text of a CloudFormation template, in JSON or YAML, as a mapping whose structure was checked once."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

SECTIONS: Final = ("Parameters", "Mappings", "Conditions", "Resources", "Outputs")
_PLAIN_TAGS = {"Ref": "Ref", "Condition": "Condition"}
_MOST_NODES = 500_000
_MARKS = re.compile("[\ue000\ue001]")


class NotATemplate(ValueError):
    """A file is not a CloudFormation template that can be read; the message names file, resource and property."""


def template_of(path: Path, *, synthesized: bool = False) -> dict[str, Any]:
    """Return the template in ``path``, with CloudFormation's short tags (``!Ref``) in their long form.

    Args:
        path: A file in JSON or YAML.
        synthesized: Whether a manifest names it as a template: the CDK writes an empty stack without ``Resources``.

    Raises:
        NotATemplate: The file is neither JSON nor YAML, or its structure is not that of a template.
    """
    found = document_of(path)
    if not isinstance(found, dict) or ("Resources" not in found and not synthesized):
        raise NotATemplate(f"{path} is not a CloudFormation template: it has no Resources")
    if marked := _MARKS.search(json.dumps(found, ensure_ascii=False, default=str)):
        raise NotATemplate(
            f"{path} holds the private-use character U+{ord(marked[0]):04X}, which stands for unknown values"
        )
    result = checked(found, str(path))
    if not result["Resources"] and not synthesized:
        raise NotATemplate(f"{path} is not a CloudFormation template: it has no resource under Resources")
    return result


def document_of(path: Path) -> Any:
    """Return what a JSON or YAML file holds, a template or not.

    Raises:
        NotATemplate: The file is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise NotATemplate(f"{path} cannot be read: {_one_line(error)}") from error
    try:
        return _json(text) if text.lstrip().startswith(("{", "[")) else _yaml(text)
    except (ValueError, RecursionError) as error:
        raise NotATemplate(f"{path} is not a template in JSON or YAML: {_one_line(error)}") from error


def checked(template: dict[str, Any], file: str) -> dict[str, Any]:
    """Return ``template`` with empty sections in place of null ones, after a look at its structure.

    Args:
        template: A parsed template.
        file: What an error calls it.

    Raises:
        NotATemplate: A section, resource, parameter or output is not what CloudFormation takes.
    """
    result = {**template}
    for section in SECTIONS:
        value = template.get(section)
        if value is not None and not isinstance(value, dict):
            raise NotATemplate(f"{file}: {section} is {_shown(value)}, CloudFormation takes an object")
        result[section] = dict(value or {})
    for name, resource in result["Resources"].items():
        if not name.startswith("Fn::"):
            result["Resources"][name] = _resource(resource, f"{file}: resource {name}")
    for name, declared in result["Parameters"].items():
        if not isinstance(declared, dict):
            raise NotATemplate(f"{file}: parameter {name} is {_shown(declared)}, CloudFormation takes an object")
    for name, output in result["Outputs"].items():
        if not name.startswith("Fn::") and (not isinstance(output, dict) or "Value" not in output):
            raise NotATemplate(f"{file}: output {name} has no Value")
        if "Export" in output and not (isinstance(output["Export"], dict) and "Name" in output["Export"]):
            raise NotATemplate(f"{file}: output {name}: Export is {_shown(output['Export'])}, it needs a Name")
    return result


def _resource(resource: Any, place: str) -> dict[str, Any]:
    if not isinstance(resource, dict):
        raise NotATemplate(f"{place} is {_shown(resource)}, CloudFormation takes an object with a Type")
    if not isinstance(resource.get("Type"), str):
        raise NotATemplate(f"{place}: Type is {_shown(resource.get('Type'))}, CloudFormation takes a text")
    result = {**resource}
    for name in ("Properties", "Metadata"):
        value = resource.get(name)
        if value is not None and not isinstance(value, dict):
            raise NotATemplate(f"{place}: {name} is {_shown(value)}, CloudFormation takes an object")
        if value is None:
            result.pop(name, None)
    condition = resource.get("Condition")
    if condition is not None and not isinstance(condition, str):
        raise NotATemplate(f"{place}: Condition is {_shown(condition)}, CloudFormation takes the name of a condition")
    return result


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key!r} stands twice in one object, and only one of the two would be read")
        found[key] = value
    return found


def _yaml(text: str) -> Any:
    import yaml  # noqa: PLC0415 - part of the extra "access"

    class Loader(yaml.SafeLoader):  # type: ignore[misc] # it has no types
        """YAML as CloudFormation reads it: no dates, account ids with a leading zero as text."""

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:  # noqa: FBT001, FBT002
            own = sum(not key.tag.endswith(":merge") for key, _ in node.value)
            self.flatten_mapping(node)
            pairs = [
                (self.construct_object(key, deep=True), self.construct_object(value, deep)) for key, value in node.value
            ]
            for key, _ in pairs:
                if not isinstance(key, str | int | float | bool):
                    raise ValueError(f"line {node.start_mark.line + 1}: a key is {key!r}, not a text")  # noqa: TRY004
            named = [(_key(key), value) for key, value in pairs]
            merged = len(named) - own  # a merged key gives way to the mapping's own
            try:
                return dict(named[:merged]) | _unique(named[merged:])
            except ValueError as error:
                raise ValueError(f"line {node.start_mark.line + 1}: {error}") from error

    for tag in ("binary", "omap", "pairs", "set"):  # CloudFormation does not take them
        Loader.add_constructor(f"tag:yaml.org,2002:{tag}", yaml.SafeLoader.construct_undefined)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", yaml.SafeLoader.construct_yaml_str)
    Loader.add_constructor("tag:yaml.org,2002:int", _integer(yaml.SafeLoader.construct_yaml_int))
    Loader.add_constructor("tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True))
    Loader.add_multi_constructor("!", _tagged)
    try:
        found = yaml.load(text, Loader)  # noqa: S506 - a subclass of the safe loader
    except yaml.YAMLError as error:
        # Its text quotes the line, and the file may not be a template but credentials.
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", error)
        raise ValueError(f"line {mark.line + 1}: {problem}" if mark else str(problem)) from error
    if _size(found, {}) > _MOST_NODES:
        raise ValueError(f"its aliases make more than {_MOST_NODES} values of it")
    return found


def _key(key: object) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _integer(parent: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def construct(loader: Any, node: Any) -> Any:
        text: str = node.value
        return text if text.startswith("0") and len(text) > 1 else parent(loader, node)

    return construct


def _tagged(loader: Any, suffix: str, node: Any) -> Any:
    """Return the long form of a short tag: ``!GetAtt Key.Arn`` is ``{"Fn::GetAtt": ["Key", "Arn"]}``."""
    kind = type(node).__name__
    value: Any
    if kind == "ScalarNode":
        value = loader.construct_scalar(node)
    elif kind == "SequenceNode":
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {_PLAIN_TAGS.get(suffix, f"Fn::{suffix}"): value}


def _size(value: Any, known: dict[int, int]) -> int:
    """Return how many values ``value`` has if every alias is written out; each is counted once."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = _MOST_NODES  # an alias inside itself
        items = value.values() if isinstance(value, Mapping) else value
        known[id(value)] = 1 + sum(_size(item, known) for item in items)
    return known[id(value)]


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def inside(top: Path, path: Path) -> Path:
    """Return a path that an assembly names.

    Raises:
        NotATemplate: It leads out of ``top``, so that the author of the assembly would choose what is read here.
    """
    if not path.resolve().is_relative_to(top.resolve()):
        raise NotATemplate(f"{path} leads out of {top}: an assembly holds its own files; run `cdk synth` again")
    return path


def nested_template(resource: Mapping[str, Any], folder: Path, top: Path | None = None) -> Path | None:
    """Find a nested stack's template by the asset that its URL names, or by a path: the CDK CLI's, or a local one.

    Raises:
        NotATemplate: It leads out of ``top``, the folder of the assembly.
    """
    asset = resource.get("Metadata", {}).get("aws:asset:path")
    url = resource.get("Properties", {}).get("TemplateURL", "")
    digests = re.findall(r"[0-9a-f]{64}", json.dumps(url))
    manifests = [
        json.loads(manifest.read_text(encoding="utf-8")).get("files", {}) for manifest in folder.glob("*.assets.json")
    ]
    named = [files[digest]["source"]["path"] for files in manifests for digest in digests if digest in files]
    local = url if isinstance(url, str) and not url.startswith(("http:", "https:", "s3:")) else None
    candidates = [folder / name for name in [asset, *named, local] if name]
    found = next((path for path in candidates if path.is_file()), None)
    return inside(top, found) if found and top else found


def mapping(value: Any) -> Mapping[str, Any]:
    """Return ``value`` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def items(value: Any) -> list[Any]:
    """Return a list as it is, one value as a list of one, nothing as an empty list; lists in lists are joined."""
    if value is None:
        return []
    if not isinstance(value, list):
        return [value]
    return [item for part in value for item in (items(part) if isinstance(part, list) else [part])]


def text(value: Any) -> str:
    """Return a value as CloudFormation passes it on: everything is text there."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def texts(value: Any) -> list[str]:
    """Return one text or several as a list of texts."""
    return [text(item) for item in items(value) if item is not None and not isinstance(item, Mapping)]
