"""An unmodified cfn-lint (AWS's own linter of CloudFormation) reads IAM policies.

    lint_policies.py  < policies.json

Standard input is an object: {"trust-…": a role's trust policy, "key-…": a KMS key's policy, any other name: a policy of an
identity}. Each becomes a role, or a key, of one template. Prints one JSON line: {name: [what the linter found, …]}.
"""

import json
import sys

from cfnlint.api import lint
from cfnlint.core import get_rules

ANYBODY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def resource(name: str, policy: dict) -> dict:
    if name.startswith("key-"):
        return {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": policy}}
    if name.startswith("trust-"):
        properties = {"AssumeRolePolicyDocument": policy}
    else:
        inline = {"PolicyName": name, "PolicyDocument": policy}
        properties = {"AssumeRolePolicyDocument": ANYBODY, "Policies": [inline]}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def main() -> None:
    policies = json.load(sys.stdin)
    # Resources have alphanumeric names.
    names = {f"Policy{place}": name for place, name in enumerate(policies)}
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {place: resource(name, policies[name]) for place, name in names.items()},
    }
    found = {name: [] for name in policies}
    # Errors, warnings (an action that does not exist), and actions that do not go with their resource.
    for match in lint(json.dumps(template, indent=1), get_rules([], [], ["E", "W", "I3510"])):
        place = match.path[1] if match.path and len(match.path) > 1 else None
        found.setdefault(names.get(place, "template"), []).append(f"{match.rule.id} {match.message}")
    print(json.dumps(found))


main()
