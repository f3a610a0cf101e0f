"""The language extensions of CloudFormation that make a template of a template: ``Fn::ForEach``, names by function.

See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-foreach.html.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kms_patterns.access.templates.template_text import NotATemplate

TRANSFORM = "AWS::LanguageExtensions"
_LOOP = "Fn::ForEach::"
_VARIABLE = re.compile(r"\$\{([^!}]+)\}")
_LARGEST = 200
"""Resources that one loop makes at most; CloudFormation takes 500 in a template."""


class _NotKnown(Exception):
    """A value is known after deployment only."""


@dataclass
class Extensions:
    """Expands the loops of one template.

    Attributes:
        template: The template.
        file: What an error calls it.
        values: Values of parameters by name: given ones, then defaults; a list for a list type.
        loops: Loops that could not be expanded, with the reason, filled by ``expanded``.
        used: Parameters whose values loops and names rest on, filled likewise.
    """

    template: Mapping[str, Any]
    file: str
    values: Mapping[str, str | list[str]]
    loops: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def expanded(self) -> dict[str, Any]:
        """Return the template without the loops whose collection is known before deployment.

        Raises:
            NotATemplate: A loop is not written as CloudFormation takes it, or makes one name twice.
        """
        sections = ("Conditions", "Resources", "Outputs")
        return {**self.template, **{name: self._section(self.template[name], {}) for name in sections}}

    def _section(self, value: Any, names: Mapping[str, str]) -> Any:
        """Return ``value`` with loops expanded and the identifiers of the loops around it replaced."""
        if isinstance(value, str):
            return _replaced(value, names)
        if isinstance(value, list):
            return [self._section(item, names) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"Ref"}:
            return self._reference(value["Ref"], names)
        if set(value) == {"Fn::GetAtt"} and isinstance(value["Fn::GetAtt"], list):
            return {"Fn::GetAtt": [self._name(item, names) for item in value["Fn::GetAtt"]]}
        found: dict[str, Any] = {}
        for key, item in value.items():
            made = self._loop(key, item, names) if key.startswith(_LOOP) else None
            for name, content in (made or {_replaced(key, names): self._section(item, names)}).items():
                if name in found:
                    raise NotATemplate(f"{self.file}: {key} makes {name} a second time")
                found[name] = content
        return found

    def _reference(self, name: Any, names: Mapping[str, str]) -> Any:
        return names[name] if isinstance(name, str) and name in names else {"Ref": self._name(name, names)}

    def _name(self, value: Any, names: Mapping[str, str]) -> Any:
        """Return a name that may be written as a function, which the extension allows in Ref and Fn::GetAtt."""
        inner = self._section(value, names)
        try:
            return self._text(inner)
        except _NotKnown:
            return inner

    def _loop(self, key: str, loop: Any, names: Mapping[str, str]) -> dict[str, Any] | None:
        """Return what a loop makes; None, and the loop is listed, if its collection is not known."""
        if not isinstance(loop, list) or len(loop) != 3 or not isinstance(loop[2], dict):  # noqa: PLR2004
            raise NotATemplate(f"{self.file}: {key} is not [identifier, collection, {{key: value}}]")
        identifiers, collection, body = loop
        if not isinstance(identifiers, str):
            raise NotATemplate(f"{self.file}: {key}: the identifier is not a text")
        try:
            items = self._collection(self._section(collection, names))
        except _NotKnown as reason:
            self.loops[_replaced(key, names)] = str(reason)
            return None
        if len(items) > _LARGEST:
            raise NotATemplate(f"{self.file}: {key} loops over {len(items)} items, more than {_LARGEST}")
        found: dict[str, Any] = {}
        for item in items:
            made = self._section(body, {**names, identifiers: item})
            if twice := sorted(set(made) & set(found)):
                raise NotATemplate(
                    f"{self.file}: {key} makes {twice[0]} a second time: its name lacks ${{{identifiers}}}"
                )
            found |= made
        return found

    def _collection(self, value: Any) -> list[str]:
        if isinstance(value, list):
            return [text for item in value for text in self._items(item)]
        return self._items(value)

    def _items(self, value: Any) -> list[str]:
        found = self._evaluated(value)
        return [str(item) for item in found] if isinstance(found, list) else [str(found)]

    def _text(self, value: Any) -> str:
        found = self._evaluated(value)
        if isinstance(found, list):
            raise _NotKnown(f"{value} is a list")
        return str(found)

    def _evaluated(self, value: Any) -> Any:
        """Return the value of an expression in the few functions that a collection or a name may use."""
        if not isinstance(value, dict):
            return value
        ((function, argument),) = value.items() if len(value) == 1 else (("", None),)
        if function == "Ref" and isinstance(argument, str) and argument in self.values:
            self.used.add(argument)
            return self.values[argument]
        if function == "Fn::FindInMap" and isinstance(argument, list) and len(argument) >= 3:  # noqa: PLR2004
            return self._mapped(argument)
        if function == "Fn::Sub":
            return self._substituted(argument)
        if function == "Fn::Join" and isinstance(argument, list) and len(argument) == 2:  # noqa: PLR2004
            return str(argument[0]).join(self._collection(argument[1]))
        if function == "Fn::Split" and isinstance(argument, list) and len(argument) == 2:  # noqa: PLR2004
            return self._text(argument[1]).split(str(argument[0]))
        raise _NotKnown(f"{function or 'an object'} {argument or ''} is known after deployment only".replace("  ", " "))

    def _mapped(self, argument: list[Any]) -> Any:
        first, second, third = (self._text(item) for item in argument[:3])
        try:
            return self.template["Mappings"][first][second][third]
        except (KeyError, TypeError) as error:
            if len(argument) > 3 and isinstance(argument[3], dict) and "DefaultValue" in argument[3]:  # noqa: PLR2004
                return self._evaluated(argument[3]["DefaultValue"])
            raise _NotKnown(f"the mapping has no entry {first}.{second}.{third}") from error

    def _substituted(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) and len(argument) == 2 else (argument, {})  # noqa: PLR2004

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            return self._text(variables[name]) if name in variables else self._text({"Ref": name})

        return _VARIABLE.sub(replace, str(text)).replace("${!", "${")


def _replaced(text: str, names: Mapping[str, str]) -> str:
    for name, value in names.items():
        text = text.replace(f"${{{name}}}", value).replace(f"&{{{name}}}", re.sub(r"[^A-Za-z0-9]", "", value))
    return text
