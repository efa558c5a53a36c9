"""``python killed.py PATTERN:COUNT:WHEN ARGUMENTS``: ``flexhook`` that is killed when the COUNT-th file named like PATTERN is
given its name, ``before`` that (the temporary file left half-written) or ``after`` it."""

import os
import signal
import sys
from fnmatch import fnmatch

pattern, count, when = sys.argv[1].split(":")
replace, seen = os.replace, 0


def deadly(source, target):
    """os.replace, and the end."""
    global seen
    hit = fnmatch(os.path.basename(target), pattern)
    seen += hit
    last = hit and seen == int(count)
    if last and when == "before":
        if os.path.isfile(source):
            os.truncate(source, os.path.getsize(source) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    from flexhook.commands.main import main

    os.replace = deadly
    sys.exit(main(sys.argv[2:]))
