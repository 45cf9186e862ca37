"""An unmodified boto3 with its default credential chain. Its environment alone says where credentials come from.

    sdk_boto3.py  < commands

Answers each line of standard input with one JSON line, and ends with it:

    read BUCKET   gets `hello.txt`                      {"ok": true, "body"}
    whoami        asks STS who it is                    {"ok": true, "arn"}
    keys          what the chain has found              {"ok": true, "AccessKeyId", "SecretAccessKey", "SessionToken"}
    narrowed PATTERN BUCKET
                  assumes its role with a `Policy` for what PATTERN names in S3, and gets `hello.txt` with that session
                                                        {"ok": true, "body"}

Whatever the SDK raises is {"ok": false, "code", "message"}: the message is what its user would see.
"""

import json
import os
import sys

import boto3
from botocore.exceptions import BotoCoreError, ClientError

SESSION = boto3.Session()


def read(bucket: str) -> dict:
    return {"body": client("s3").get_object(Bucket=bucket, Key="hello.txt")["Body"].read().decode()}


def whoami() -> dict:
    return {"arn": client("sts").get_caller_identity()["Arn"]}


def keys() -> dict:
    found = SESSION.get_credentials().get_frozen_credentials()
    return {"AccessKeyId": found.access_key, "SecretAccessKey": found.secret_key, "SessionToken": found.token}


def narrowed(pattern: str, bucket: str) -> dict:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": pattern}
    with open(os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"]) as file:
        made = client("sts").assume_role_with_web_identity(
            RoleArn=os.environ["AWS_ROLE_ARN"],
            RoleSessionName="narrowed",
            WebIdentityToken=file.read().strip(),
            Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
    got = made["Credentials"]
    session = boto3.Session(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    return {"body": session.client("s3").get_object(Bucket=bucket, Key="hello.txt")["Body"].read().decode()}


def client(name: str, made: dict = {}):
    """One client for the life of the program, as programs have it: what it remembers between calls is under test."""
    if name not in made:
        made[name] = SESSION.client(name)
    return made[name]


COMMANDS = {"read": read, "whoami": whoami, "keys": keys, "narrowed": narrowed}


def answer(command: str, *arguments: str) -> dict:
    try:
        return {"ok": True, **COMMANDS[command](*arguments)}
    except ClientError as refused:
        return {"ok": False, "code": refused.response["Error"]["Code"], "message": str(refused)}
    except BotoCoreError as failed:
        return {"ok": False, "code": type(failed).__name__, "message": str(failed)}


for line in sys.stdin:
    print(json.dumps(answer(*line.split())), flush=True)
