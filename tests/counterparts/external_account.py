"""An unmodified google-auth as a token-exchange client: an `external_account` credential whose `token_url` is the broker's.

    external_account.py TOKEN-URL GRANT SCOPES TOKEN-FILE

google-auth always asks for `requested_token_type=…:access_token`. Prints one JSON line: {"token", "expiry"}, or, with
exit code 1, {"error"}.
"""

import json
import sys

from google.auth import exceptions, identity_pool
from google.auth.transport.requests import Request


def main() -> int:
    token_url, grant, scopes, token_file = sys.argv[1:5]
    credentials = identity_pool.Credentials.from_info(
        {
            "type": "external_account",
            "audience": grant,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": token_url,
            "credential_source": {"file": token_file},
        },
        scopes=scopes.split(),
    )
    try:
        credentials.refresh(Request())
    except exceptions.GoogleAuthError as refused:
        print(json.dumps({"error": str(refused)}))
        return 1
    print(json.dumps({"token": credentials.token, "expiry": f"{credentials.expiry.isoformat()}Z"}))
    return 0


sys.exit(main())
