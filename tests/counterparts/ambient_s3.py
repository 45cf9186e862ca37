"""An unmodified boto3 that finds its credentials by itself, as any program does: nothing here names any.

    ambient_s3.py ENDPOINT    < commands, one JSON object a line

    {"read": BUCKET}                  reads hello.txt
    {"keep_reading": BUCKET, "seconds": N}    does so every half second, for so long
    {"compare": BUCKET, "with": CREDENTIALS, "threads": T, "requests": R, "rounds": N}
                                      times rounds of T x R reads, in turn with these static credentials and with its own

Answers each with one JSON line: {"ok": true, "body", "key"} or {"ok": false, "code", "error"}; {"reads", "keys", "failures"};
{"static": [seconds...], "own": [seconds...]}. Ends when its standard input ends.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

KEY = "hello.txt"


class Reader:
    def __init__(self, endpoint: str) -> None:
        self.endpoint, self.session, self.s3 = endpoint, None, None

    def client(self, **credentials: str):
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=32)
        return self.session.client("s3", endpoint_url=self.endpoint, region_name="eu-central-1", config=config, **credentials)

    def own(self):
        if self.s3 is None:
            self.session = boto3.Session()
            self.s3 = self.client()
        return self.s3

    def read(self, bucket: str) -> dict:
        try:
            body = self.own().get_object(Bucket=bucket, Key=KEY)["Body"].read().decode()
            return {"ok": True, "body": body, "key": self.session.get_credentials().access_key}
        except ClientError as refused:
            return {"ok": False, "code": refused.response["Error"]["Code"], "error": str(refused)}
        # boto3 also throws plain RuntimeErrors.
        except (BotoCoreError, RuntimeError) as failed:
            return {"ok": False, "code": type(failed).__name__, "error": str(failed)}

    def keep_reading(self, bucket: str, seconds: float) -> dict:
        end, reads, keys, failures = time.monotonic() + seconds, 0, [], []
        while time.monotonic() < end:
            answer = self.read(bucket)
            reads += 1
            if not answer["ok"]:
                failures.append(answer)
            elif answer["key"] not in keys:
                keys.append(answer["key"])
            time.sleep(0.5)
        return {"reads": reads, "keys": keys, "failures": failures}

    def compare(self, bucket: str, given: dict, threads: int, requests: int, rounds: int) -> dict:
        own = self.own()
        static = self.client(
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

        def timed(s3, pool: ThreadPoolExecutor) -> float:
            def work() -> None:
                for _ in range(requests):
                    s3.get_object(Bucket=bucket, Key=KEY)["Body"].read()

            start = time.perf_counter()
            for done in [pool.submit(work) for _ in range(threads)]:
                done.result()
            return time.perf_counter() - start

        with ThreadPoolExecutor(threads) as pool:
            times = {"static": [], "own": []}
            for number in range(rounds + 1):
                measured = {"static": timed(static, pool), "own": timed(own, pool)}
                # The first round opens connections.
                for name in times if number else ():
                    times[name].append(measured[name])
            return times


def main() -> None:
    reader = Reader(sys.argv[1])
    for line in sys.stdin:
        match json.loads(line):
            case {"read": bucket}:
                answer = reader.read(bucket)
            case {"keep_reading": bucket, "seconds": seconds}:
                answer = reader.keep_reading(bucket, seconds)
            case {"compare": bucket, "with": given, "threads": threads, "requests": requests, "rounds": rounds}:
                answer = reader.compare(bucket, given, threads, requests, rounds)
        print(json.dumps(answer), flush=True)


main()
