"""What AWS does with web identity tokens and ministack leaves out, in front of a ministack.

    web_identity_sts.py ENDPOINT ACCESS-KEY-ID SECRET-ACCESS-KEY

ministack judges a role's trust policy by the token's claims, but it does not check the token (signature, end, audience,
whether IAM knows its issuer), takes no tags from it, and forgets the session policy of `AssumeRoleWithWebIdentity`. Here
PyJWT checks the token by the key set that its issuer publishes, as AWS documents it; the call is then put to ministack as
it came, for its verdict on the trust policy; and the session is made by its `AssumeRole`, which enforces what the call asked
for. Everything else goes to ministack untouched.

Prints {"endpoint"} when it listens and ends with its standard input. Besides STS it answers
    POST /provider {"issuer", "audience"}    registers an OIDC provider in IAM
    POST /trust {"role", "issuer", "conditions", "actions"}
                                             lets that provider assume the role, beside whoever may already
    POST /policy {"name", "resource"}        makes a managed policy that reads those objects: {"arn"}
    GET /seen                                the calls with a good token so far: [{"signed", "header", "claims", "form"}]
"""

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

import boto3
import jwt
import requests
from botocore.exceptions import ClientError

ENDPOINT, KEY, SECRET = sys.argv[1:4]
# https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
LEEWAY_SECONDS = 300
TAGS, SOURCE = "https://aws.amazon.com/tags", "https://aws.amazon.com/source_identity"
SEEN: list[dict] = []


def service(name: str):
    return boto3.client(
        name, endpoint_url=ENDPOINT, region_name="eu-central-1", aws_access_key_id=KEY, aws_secret_access_key=SECRET
    )


IAM, STS = service("iam"), service("sts")
ACCOUNT = STS.get_caller_identity()["Account"]


class Refused(Exception):
    def __init__(self, status: int, code: str, message: str):
        self.status, self.code, self.message = status, code, message


def provider_arn(issuer: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:oidc-provider/{issuer.split('://', 1)[1]}"


def checked(token: str) -> dict:
    """Header and claims of a token that AWS would take."""
    issuer = jwt.decode(token, options={"verify_signature": False}).get("iss", "")
    try:
        audiences = IAM.get_open_id_connect_provider(OpenIDConnectProviderArn=provider_arn(issuer))["ClientIDList"]
    except ClientError:
        raise Refused(400, "InvalidIdentityToken", f"No OpenIDConnect provider found in your account for {issuer}")
    try:
        metadata = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=5).json()
        key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
    except (requests.RequestException, jwt.PyJWKClientError) as away:
        raise Refused(400, "IDPCommunicationError", f"Error communicating with the identity provider: {type(away).__name__}")
    try:
        decoded = jwt.decode_complete(
            token, key, algorithms=ALGORITHMS, audience=audiences, issuer=issuer, leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except jwt.ExpiredSignatureError:
        raise Refused(400, "ExpiredTokenException", "Token expired")
    except jwt.PyJWTError as refused:
        raise Refused(400, "InvalidIdentityToken", f"{type(refused).__name__}: {refused}")
    return {"header": decoded["header"], "claims": decoded["payload"]}


def must_be_trusted(role: str, issuer: str, action: str) -> None:
    """The provider's statement in the role's trust policy names the action, too. ministack does not ask."""
    trust = IAM.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]
    ours = [one for one in trust["Statement"] if one["Principal"].get("Federated") == provider_arn(issuer)]
    if not any(action in one["Action"] for one in ours):
        raise Refused(403, "AccessDenied", f"Not authorized to perform {action}")


def assume(form: dict, raw: bytes, signed: bool) -> str:
    token = form.pop("WebIdentityToken")
    found = checked(token)
    SEEN.append({"signed": signed, "form": form, **found})
    verdict = requests.post(ENDPOINT, data=raw, headers={"content-type": "application/x-www-form-urlencoded"}, timeout=10)
    if verdict.status_code != 200:
        raise Refused(verdict.status_code, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    claims, role = found["claims"], form["RoleArn"].rsplit("/", 1)[1]
    tags = claims.get(TAGS, {})
    if tags:
        must_be_trusted(role, claims["iss"], "sts:TagSession")
    if SOURCE in claims:
        must_be_trusted(role, claims["iss"], "sts:SetSourceIdentity")
    arns = [value for name, value in sorted(form.items()) if name.startswith("PolicyArns.member.")]
    wanted = {
        "RoleArn": form["RoleArn"],
        "RoleSessionName": form["RoleSessionName"],
        "DurationSeconds": int(form["DurationSeconds"]),
        "Policy": form["Policy"],
        "PolicyArns": [{"arn": arn} for arn in arns],
        "Tags": [{"Key": key, "Value": value} for key, [value] in tags.get("principal_tags", {}).items()],
        "TransitiveTagKeys": tags.get("transitive_tag_keys", []),
    }
    try:
        given = STS.assume_role(**wanted)
    except ClientError as refused:
        error = refused.response
        raise Refused(error["ResponseMetadata"]["HTTPStatusCode"], error["Error"]["Code"], error["Error"]["Message"])
    credentials = {name: given["Credentials"][name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    credentials["Expiration"] = given["Credentials"]["Expiration"].strftime("%Y-%m-%dT%H:%M:%SZ")
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in credentials.items())
    user = given["AssumedRoleUser"]
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials><AssumedRoleUser>"
        f"<AssumedRoleId>{user['AssumedRoleId']}</AssumedRoleId><Arn>{user['Arn']}</Arn></AssumedRoleUser>"
        f"<PackedPolicySize>{given['PackedPolicySize']}</PackedPolicySize>"
        f"<SourceIdentity>{claims.get(SOURCE, '')}</SourceIdentity>"
        "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )


def register(asked: dict) -> dict:
    IAM.create_open_id_connect_provider(Url=asked["issuer"], ClientIDList=[asked["audience"]])
    return {}


def policy(asked: dict) -> dict:
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": asked["resource"]}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    return {"arn": IAM.create_policy(PolicyName=asked["name"], PolicyDocument=document)["Policy"]["Arn"]}


def trust(asked: dict) -> dict:
    document = IAM.get_role(RoleName=asked["role"])["Role"]["AssumeRolePolicyDocument"]
    mine = provider_arn(asked["issuer"])
    others = [one for one in document["Statement"] if one["Principal"].get("Federated") != mine]
    host = asked["issuer"].split("://", 1)[1]
    conditions = {f"{host}:{name}": value for name, value in asked["conditions"].items()}
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": mine},
        "Action": asked["actions"],
        "Condition": {"StringEquals": conditions},
    }
    document["Statement"] = [*others, statement]
    IAM.update_assume_role_policy(RoleName=asked["role"], PolicyDocument=json.dumps(document))
    return {}


LAYING_OUT = {"/provider": register, "/trust": trust, "/policy": policy}


class Front(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, kind: str, body: str) -> None:
        data = body.encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.answer(200, "application/json", json.dumps(SEEN))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        if self.path in LAYING_OUT:
            return self.answer(200, "application/json", json.dumps(LAYING_OUT[self.path](json.loads(raw))))
        form = dict(parse_qsl(raw.decode()))
        try:
            if form.get("Action") != "AssumeRoleWithWebIdentity":
                raise Refused(403, "AccessDenied", f"this stand-in takes web identity tokens only, not {form.get('Action')}")
            self.answer(200, "text/xml", assume(form, raw, "authorization" in self.headers))
        except Refused as refused:
            error = f"<Code>{refused.code}</Code><Message>{escape(refused.message)}</Message>"
            self.answer(refused.status, "text/xml", f"<ErrorResponse><Error>{error}</Error></ErrorResponse>")


def end_with_standard_input() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)


def main() -> None:
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Front)
    print(json.dumps({"endpoint": f"http://127.0.0.1:{server.server_port}"}), flush=True)
    server.serve_forever()


main()
