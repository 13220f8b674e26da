"""Tell what a run of pytest skipped, and why: python .ci/skips.py JUNIT_XML."""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree as ET


def main(path: str) -> None:
    """Print the counts of a junit file.

    Args:
        path: What ``pytest --junit-xml`` wrote.
    """
    cases = list(ET.parse(path).iter("testcase"))  # noqa: S314 - pytest wrote it
    skipped = Counter(skip.get("message", "") for case in cases for skip in case.iter("skipped"))
    print(f"{len(cases)} tests, {skipped.total()} skipped")
    for reason, count in skipped.most_common():
        print(f"  {count} x {reason}")


if __name__ == "__main__":
    main(sys.argv[1])
