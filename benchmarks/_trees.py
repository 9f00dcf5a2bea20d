"""Real trees for the benchmarks, installed once and kept in AUTOVIBE_BENCH_TREES.

`source`: sources of pure Python packages. `node_modules`: what npm installs for a handful of large
tools. `binaries`: a virtual environment with shared libraries of 2 GB. They come from the
registries that pip and npm are set up for; versions are exact, so that two machines measure the
same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "AUTOVIBE_BENCH_TREES"
SOURCES: Final = (
    "django==5.2.8",
    "sympy==1.14.0",
    "sqlalchemy==2.0.44",
    "twisted==25.5.0",
    "ansible-core==2.18.11",
    "nltk==3.9.2",
    "plotly==5.24.1",
    "babel==2.17.0",
    "pygments==2.19.2",
)
NODE: Final = {
    "vite": "7.2.4",
    "next": "16.0.3",
    "eslint": "9.39.1",
    "typescript": "5.9.3",
    "webpack": "5.103.0",
    "jest": "30.2.0",
    "@angular/cli": "20.3.11",
    "@angular/core": "20.3.12",
    "aws-cdk-lib": "2.225.0",
    "antd": "5.29.1",
    "@mui/material": "7.3.5",
    "@mui/icons-material": "7.3.5",
    "date-fns": "4.1.0",
    "lodash": "4.17.21",
    "three": "0.181.2",
    "@fluentui/react": "8.125.1",
    "@fluentui/react-icons": "2.0.314",
    "rxjs": "7.8.2",
    "core-js": "3.47.0",
    "react-icons": "5.5.0",
    "googleapis": "166.0.0",
    "storybook": "10.0.8",
}
BINARIES: Final = (
    "torch==2.14.1",
    "scipy==1.17.1",
    "pyarrow==26.0.1",
    "polars==2.1.0",
    "opencv-python-headless==5.0.0.93",
    "onnxruntime==1.32.0",
    "jaxlib==0.10.2",
    "llvmlite==0.50.0",
    "pandas==3.1.1",
    "scikit-learn==1.9.1",
    "tensorflow-cpu==2.21.0",
)
# What each tree is made of; one that was made of anything else is made anew.
CONTENTS: Final = {
    "source": list(SOURCES),
    "node_modules": [f"{name}@{version}" for name, version in NODE.items()],
    "binaries": list(BINARIES),
}


def tree(name: str) -> Path:
    """Return one of the trees, made now unless it was made before, of the same things."""
    home = Path(os.environ.get(VARIABLE) or Path(tempfile.gettempdir(), "autovibe-bench-trees"))
    path, label = home / name, home / f"{name}.json"
    contents = json.dumps(CONTENTS[name])
    if not (path.exists() and label.exists() and label.read_text(encoding="ascii") == contents):
        shutil.rmtree(path, ignore_errors=True)
        home.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=home))
        print(f"installing the tree {name} into {path}", file=sys.stderr)
        try:
            {"source": _source, "node_modules": _node_modules, "binaries": _binaries}[name](making)
            making.rename(path)
            label.write_text(contents, encoding="ascii")
        except BaseException:
            shutil.rmtree(making, ignore_errors=True)
            raise
    return path


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*command, *arguments], check=True, stdout=sys.stderr)


def _source(path: Path) -> None:
    _pip("--no-deps", "--no-compile", "--target", str(path), *SOURCES)


def _node_modules(path: Path) -> None:
    (path / "package.json").write_text(json.dumps({"private": True, "dependencies": NODE}))
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--force"]
    subprocess.run(command, cwd=path, check=True, stdout=sys.stderr)


def _binaries(path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True)
    site = next((path / "lib").glob("python*")) / "site-packages"
    _pip("--no-deps", "--no-compile", "--target", str(site), *BINARIES)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or ("source", "node_modules", "binaries"):
        print(tree(wanted))
