"""What IAM holds of an ended elevation, and the part of it that ministack can enforce.

    end_sessions.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY ROLE show
    end_sessions.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY ROLE enforce POLICY
    end_sessions.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY ROLE forget

`show` prints the role's policies whose names begin with `tidegate-end-`, by name. `enforce` puts a copy of one without its
condition on `aws:SourceIdentity`, which ministack does not know and therefore never finds true. `forget` takes it away.
Each prints one JSON line.
"""

import json
import sys

import boto3

COPY = "copy-without-source-identity"


def main() -> None:
    endpoint, key_id, secret, role, what, *names = sys.argv[1:]
    iam = boto3.client(
        "iam", endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id=key_id, aws_secret_access_key=secret
    )

    def document(name: str) -> dict:
        return iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]

    match what:
        case "show":
            names = iam.list_role_policies(RoleName=role)["PolicyNames"]
            print(json.dumps({name: document(name) for name in names if name.startswith("tidegate-end-")}))
        case "enforce":
            copy = document(names[0])
            del copy["Statement"][0]["Condition"]["StringEquals"]
            iam.put_role_policy(RoleName=role, PolicyName=COPY, PolicyDocument=json.dumps(copy))
            print(json.dumps(copy))
        case "forget":
            iam.delete_role_policy(RoleName=role, PolicyName=COPY)
            print("{}")
        case _:
            sys.exit(__doc__)


main()
