"""An unmodified boto3 that reads an object of each bucket with the credentials that the broker answered in `aws`.

    s3_get.py ENDPOINT KEY BUCKET...  < credentials.json

Prints one JSON line, a list in the buckets' order: {"ok": true, "body"} or {"ok": false, "code", "status"}.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def read(s3, bucket: str, key: str) -> dict:
    try:
        return {"ok": True, "body": s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()}
    except ClientError as refused:
        answer = refused.response
        return {"ok": False, "code": answer["Error"]["Code"], "status": answer["ResponseMetadata"]["HTTPStatusCode"]}


def main() -> None:
    endpoint, key, *buckets = sys.argv[1:]
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
    print(json.dumps([read(s3, bucket, key) for bucket in buckets]))


main()
