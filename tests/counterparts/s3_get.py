"""An unmodified boto3 that reads one object with the credentials it is given (the `aws` member of the broker's answer).

    s3_get.py ENDPOINT BUCKET KEY  < credentials.json

Prints one JSON line: {"ok": true, "body"} or {"ok": false, "code", "status"}.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main() -> None:
    endpoint, bucket, key = sys.argv[1:4]
    given = json.load(sys.stdin)
    s3 = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        print(json.dumps({"ok": True, "body": body}))
    except ClientError as refused:
        answer = refused.response
        code, status = answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]
        print(json.dumps({"ok": False, "code": code, "status": status}))


main()
