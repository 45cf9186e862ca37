"""Lays out keys in the KMS of a stand-in.

    kms_keys.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY create USER
    kms_keys.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY enable|disable|deny ARN

`create` makes a symmetric key that USER may encrypt and decrypt with. `deny` takes every user's permission in the key's
policy away. The stand-in does not know the condition keys of KMS, so no policy here has one. Each prints one JSON line.
"""

import json
import sys

import boto3


def statement(effect: str, actions: list[str], resource: str, **more: object) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": actions, "Resource": resource, **more}]}


def main() -> None:
    endpoint, key_id, secret, what, name = sys.argv[1:]

    def service(of: str):
        return boto3.client(
            of, endpoint_url=endpoint, region_name="eu-central-1", aws_access_key_id=key_id, aws_secret_access_key=secret
        )

    kms, iam = service("kms"), service("iam")
    answer = {}
    match what:
        case "create":
            arn = kms.create_key(Description="wraps a key-encryption key")["KeyMetadata"]["Arn"]
            policy = statement("Allow", ["kms:Encrypt", "kms:Decrypt"], arn)
            iam.put_user_policy(UserName=name, PolicyName="kms-" + arn[-12:], PolicyDocument=json.dumps(policy))
            answer = {"arn": arn}
        case "enable":
            kms.enable_key(KeyId=name)
        case "disable":
            kms.disable_key(KeyId=name)
        case "deny":
            users = [user["Arn"] for user in iam.list_users()["Users"]]
            policy = statement("Deny", ["kms:Encrypt", "kms:Decrypt"], "*", Principal={"AWS": users})
            kms.put_key_policy(KeyId=name, PolicyName="default", Policy=json.dumps(policy))
        case _:
            sys.exit(__doc__)
    print(json.dumps(answer))


main()
