"""Check proto/: what is generated from it is current, it lints, and no change breaks a caller.

The baseline is the merge base of HEAD and main; on main itself, the last commit.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from repository import ROOT, git

BUF: Final = str(Path(sys.executable).with_name("buf"))


def main() -> int:
    """Compare the generated code, run buf lint, then buf breaking where there is a baseline."""
    # First of all: this also copies the google/api files that every later step imports.
    generated = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, check=False
    ).returncode
    lint = subprocess.run([BUF, "lint"], cwd=ROOT, check=False).returncode
    return generated or lint or breaking()


def breaking() -> int:
    """Compare with the baseline, or say why there is none."""
    base = baseline()
    if base is None:
        print("note: buf breaking skipped: this history has no main to compare with")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch, "baseline.zip")
        if git("archive", f"--output={archive}", base, "proto", "buf.yaml").returncode != 0:
            print(f"note: buf breaking skipped: {base[:12]} has no proto/")
            return 0
        with zipfile.ZipFile(archive) as files:
            files.extractall(scratch)
        # The baseline imports the same google/api files; they are not in git.
        shutil.copytree(ROOT / "build/third_party", Path(scratch, "build/third_party"))
        return subprocess.run(
            [BUF, "breaking", "--against", scratch], cwd=ROOT, check=False
        ).returncode


def baseline() -> str | None:
    """Return the commit to compare with; None in a shallow clone, an archive, or without main."""
    for main_branch in ("origin/main", "main"):
        found = git("merge-base", "HEAD", main_branch)
        if found.returncode == 0:
            return found.stdout.strip()
    return None


if __name__ == "__main__":
    sys.exit(main())
