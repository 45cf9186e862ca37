"""Makes the roles of docs/aws.md in an emulator of IAM that enforces them, with boto3.

    documented_roles.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY  < policies.json

Standard input is {"trust": the trust policy of role `orders-read`, "broker": the policy of the broker's own role `tidegate`
or null}. The role may read every bucket. Prints one JSON line: {"broker": the broker's session, or null; "stranger": the
access key of a user of the account who may assume every role as far as he himself is concerned}.
"""

import json
import sys

import boto3

ROLE, BROKER, STRANGER = "orders-read", "tidegate", "stranger"


def allow(action: list[str] | str, **more: object) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]}


def main() -> None:
    endpoint, key_id, secret = sys.argv[1:4]

    def service(name: str, key_id: str = key_id, secret: str = secret):
        return boto3.client(
            name,
            endpoint_url=endpoint,
            region_name="eu-central-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
        )

    given, iam = json.load(sys.stdin), service("iam")
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(given["trust"]))
    iam.create_user(UserName=STRANGER)
    everything = allow("sts:*", Resource="*")
    iam.put_user_policy(UserName=STRANGER, PolicyName="sts", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName=STRANGER)["AccessKey"]

    broker = None
    if given["broker"]:
        account = service("sts").get_caller_identity()["Account"]
        host = allow("sts:AssumeRole", Principal={"AWS": f"arn:aws:iam::{account}:user/{STRANGER}"})
        arn = iam.create_role(RoleName=BROKER, AssumeRolePolicyDocument=json.dumps(host))["Role"]["Arn"]
        iam.put_role_policy(RoleName=BROKER, PolicyName="broker", PolicyDocument=json.dumps(given["broker"]))
        # As its host's platform would: the broker holds a session of its role.
        sts = service("sts", key["AccessKeyId"], key["SecretAccessKey"])
        broker = sts.assume_role(RoleArn=arn, RoleSessionName="host")["Credentials"]
        del broker["Expiration"]
    stranger = {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}
    print(json.dumps({"broker": broker, "stranger": stranger}))


main()
