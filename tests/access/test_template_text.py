"""Templates as text: JSON and YAML as CloudFormation reads them, and errors of one line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kms_patterns.access.read.assembly import load_assembly
from kms_patterns.access.templates.template_text import NotATemplate, template_of


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def to_file(text: str) -> Path:
        path = tmp_path / "one.yaml"
        path.write_text(text)
        return path

    return to_file


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("!Ref Key", {"Ref": "Key"}),
        ("!GetAtt Nested.Outputs.Arn", {"Fn::GetAtt": ["Nested", "Outputs.Arn"]}),
        ("!GetAtt [Key, Arn]", {"Fn::GetAtt": ["Key", "Arn"]}),
        ("!Condition Yes", {"Condition": "Yes"}),
        ("!If [C, !Ref A, !Sub '${B}']", {"Fn::If": ["C", {"Ref": "A"}, {"Fn::Sub": "${B}"}]}),
        ("!Sub ['${A}', {A: !Ref B}]", {"Fn::Sub": ["${A}", {"A": {"Ref": "B"}}]}),
        ("!Transform {Name: M, Parameters: {a: 1}}", {"Fn::Transform": {"Name": "M", "Parameters": {"a": 1}}}),
        ("2012-10-17", "2012-10-17"),
        ("012345670123", "012345670123"),
        ("123456789012", 123456789012),
        ("{on: 1}", {"true": 1}),
    ],
)
def test_yaml_value_is_what_cloudformation_makes_of_it(write: Callable[..., Path], text: str, value: object) -> None:
    found = template_of(write(f"Resources: {{A: {{Type: Custom::A, Properties: {{V: {text}}}}}}}"))
    assert found["Resources"]["A"]["Properties"]["V"] == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources: [", "one.yaml is not a template in JSON or YAML: while parsing"),
        ("Resources: {A: {Type: X}, A: {Type: Y}}", "line 1: the key 'A' stands twice"),
        ('{"Resources": {"A": {"Type": "X"}, "A": {"Type": "Y"}}}', "the key 'A' stands twice"),
        ("Resources: {A: !!python/object:os.system {}}", "could not determine a constructor"),
        ("Other: 1", "one.yaml is not a CloudFormation template: it has no Resources"),
        ("Resources: 3", "one.yaml: Resources is 3, CloudFormation takes an object"),
        ("Resources: {A: text}", 'one.yaml: resource A is "text", CloudFormation takes an object with a Type'),
        ("Resources: {A: {Type: [X]}}", 'one.yaml: resource A: Type is ["X"], CloudFormation takes a text'),
        ("Resources: {A: {Type: X, Properties: [1]}}", "one.yaml: resource A: Properties is [1]"),
        ("Resources: {A: {Type: X, Condition: {a: b}}}", "one.yaml: resource A: Condition is"),
        ("Resources: {}\nParameters: {P: 1}", "one.yaml: parameter P is 1"),
        ("Resources: {}\nOutputs: {O: {Export: {Name: x}}}", "one.yaml: output O has no Value"),
    ],
)
def test_error_is_one_line_with_file_and_place(write: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(NotATemplate) as error:
        load_assembly(write(text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_yaml_whose_aliases_multiply_is_refused(write: Callable[..., Path]) -> None:
    levels = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9))
    with pytest.raises(NotATemplate, match="its aliases make more than"):
        load_assembly(write(f"a0: &a0 [x]\n{levels}\nResources: {{}}"))


@pytest.mark.parametrize(
    "text", ["Resources: {A: {Type: X, Properties: {V: '\ue000guard\ue001'}}}", '{"Resources": {"\\ue001": {}}}']
)
def test_characters_that_stand_for_unknown_values_are_refused(write: Callable[[str], Path], text: str) -> None:
    with pytest.raises(NotATemplate, match=r"one\.yaml holds the private-use character U\+E00[01]"):
        template_of(write(text))
