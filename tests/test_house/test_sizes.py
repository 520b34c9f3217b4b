"""Files stay small: one a reader can hold in mind, and one that git can carry."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def kept_files():
    """Return what belongs to the repository; without git, all but what tools leave."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
        files = [ROOT / name for name in done.stdout.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        left = {".git", ".venv", "runs", "__pycache__"}
        files = [path for path in ROOT.rglob("*") if not left & set(path.parts)]
    return [path for path in files if path.is_file()]


def test_no_source_file_is_over_450_lines():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "coursekit").rglob("*.py")
    }
    assert not {name: n_lines for name, n_lines in lengths.items() if n_lines > 450}


def test_no_file_is_over_2_mb_and_all_together_are_at_most_25():
    sizes = {str(path.relative_to(ROOT)): path.stat().st_size for path in kept_files()}
    assert not {name: size for name, size in sizes.items() if size > 2_000_000}
    assert sum(sizes.values()) <= 25_000_000


def test_nothing_else_stands_at_the_top():
    allowed = {"LICENSE", "README.md", "coursekit", "data", "notebooks", "pyproject.toml"}
    tops = {path.relative_to(ROOT).parts[0] for path in kept_files()}
    assert {top for top in tops if not top.startswith(".")} == allowed | {"tests"}
