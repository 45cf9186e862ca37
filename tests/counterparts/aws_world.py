"""Lays out the AWS side of a test with boto3: two buckets, a role that may read both, and the broker's own user.

    aws_world.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY

Prints one JSON line: {"role_arn", "buckets", "broker": {"access_key_id", "secret_access_key"}, "unscoped"}. The broker's
user may assume the role and tag its session, and nothing else. `unscoped` are the role's credentials without a session
policy: what they may do and the broker's may not is refused by the session policy alone.
"""

import json
import sys

import boto3

BUCKETS = ("orders", "ledger")
ROLE, USER = "orders-read", "tidegate"


def allow(actions: list[str], resource: str) -> dict:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": resource}]}


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

    s3, iam, sts = service("s3"), service("iam"), service("sts")
    account = sts.get_caller_identity()["Account"]
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket=bucket, Key="hello.txt", Body=b"hello")

    iam.create_user(UserName=USER)
    trust = allow(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], "*")
    del trust["Statement"][0]["Resource"]
    trust["Statement"][0]["Principal"] = {"AWS": f"arn:aws:iam::{account}:root"}
    role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    # The role may read both buckets: whatever the tests find refused is refused by the session policy.
    reads = json.dumps(allow(["s3:GetObject", "s3:ListBucket"], "*"))
    iam.put_role_policy(RoleName=ROLE, PolicyName="read", PolicyDocument=reads)
    assume = json.dumps(allow(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], role))
    iam.put_user_policy(UserName=USER, PolicyName="assume", PolicyDocument=assume)
    key = iam.create_access_key(UserName=USER)["AccessKey"]
    broker = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    given = service("sts", key["AccessKeyId"], key["SecretAccessKey"]).assume_role(RoleArn=role, RoleSessionName="unscoped")
    unscoped = {name: given["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    print(json.dumps({"role_arn": role, "buckets": BUCKETS, "broker": broker, "unscoped": unscoped}))


main()
