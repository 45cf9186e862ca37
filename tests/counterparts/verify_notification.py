"""Runs the example of docs/break-glass.md as a receiver would: it is read out of the page, so that it stays true.

    verify_notification.py PAGE  < {"secret", "header", "body", "now"}

Prints `true` or `false`.
"""

import json
import sys


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as page:
        example = page.read().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(compile(example, sys.argv[1], "exec"), names)  # our own page
    asked = json.load(sys.stdin)
    verdict = names["is_from_tidegate"](asked["secret"].encode(), asked["header"], asked["body"].encode(), asked["now"])
    print(json.dumps(verdict))


main()
