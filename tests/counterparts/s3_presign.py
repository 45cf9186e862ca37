"""An unmodified boto3 that presigns a URL of an object in each bucket, good for an hour, with the credentials in `aws`.

    s3_presign.py ENDPOINT KEY BUCKET...  < credentials.json

Prints one JSON line: the URLs in the buckets' order. No request is made.
"""

import json
import sys

import boto3
from botocore.config import Config


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
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )

    def presigned(bucket: str) -> str:
        return s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=3600)

    print(json.dumps([presigned(bucket) for bucket in buckets]))


main()
