"""An unmodified PyJWT that checks one of the broker's tokens as a resource server does: by the published key set.

    verify_jwt.py BROKER-ISSUER AUDIENCE  < token

Discovery is RFC 8414's document. Prints one JSON line: {"header", "claims"}, or, with exit code 1, {"error"}.
"""

import json
import sys

import jwt
import requests

ALGORITHMS = ["ES256", "EdDSA", "RS256"]


def main() -> int:
    issuer, audience = sys.argv[1:3]
    token = sys.stdin.read().strip()
    metadata = requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=10).json()
    try:
        if metadata["issuer"] != issuer:
            raise jwt.InvalidIssuerError(f"metadata is of {metadata['issuer']}")
        key = jwt.PyJWKClient(metadata["jwks_uri"]).get_signing_key_from_jwt(token)
        decoded = jwt.decode_complete(
            token,
            key,
            algorithms=ALGORITHMS,
            audience=audience,
            issuer=issuer,
            options={"require": ["iss", "sub", "aud", "exp", "iat", "jti"]},
        )
        if decoded["header"].get("typ") != "at+jwt":  # RFC 9068 §4
            raise jwt.InvalidTokenError(f"typ is {decoded['header'].get('typ')}")
    except jwt.PyJWTError as refused:
        print(json.dumps({"error": f"{type(refused).__name__}: {refused}"}))
        return 1
    print(json.dumps({"header": decoded["header"], "claims": decoded["payload"]}))
    return 0


sys.exit(main())
