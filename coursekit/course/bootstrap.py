"""The cell that makes a lesson run where coursekit is not installed, such as in Colab.

Text in, text out: nothing here reads a file or knows where the address is kept.
"""

from collections.abc import Sequence

__all__ = ["colab_badge", "setup_cell"]

_HEAD = """\
# Set-up: does nothing where coursekit is installed. Written by `coursekit address`.
import importlib.util

if importlib.util.find_spec("coursekit") is None:
"""

_NO_ADDRESS = """\
    raise ModuleNotFoundError(
        "coursekit is not installed here, and this copy of the course does not say where "
        "to get it. Whoever publishes it runs `coursekit address URL` once, with the "
        "https address of its git repository; on your own machine: pip install -e ."
    )
"""

# A notebook server that runs must keep its own parts, as torch must: pip would replace
# them under it, and the runtime would ask to be restarted.
_INSTALL = """\
    import contextlib, subprocess, sys, tempfile
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    keep = "torch torchvision torchaudio numpy scipy pandas matplotlib pillow scikit-learn"
    keep += " scikit-image ipykernel ipython ipywidgets tornado"  # stay as they are here
    pins = []
    for name in keep.split():
        with contextlib.suppress(PackageNotFoundError):
            pins.append(f"{name}=={version(name)}")
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, "constraints.txt")
        constraints.write_text("\\n".join(pins))
        pip = [sys.executable, "-m", "pip", "install", "-q", "-c", str(constraints)]
        source = "REQUIREMENT"
        done = subprocess.run([*pip, source], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"pip could not install {source}:\\n{done.stderr}")
    importlib.invalidate_caches()
    import coursekit
"""


def setup_cell(address: str | None, version: str, *, extras: Sequence[str] = ()) -> str:
    """Return the source of a lesson's set-up cell.

    The cell does nothing where coursekit can be imported. Elsewhere it installs the tagged
    version with pip, which may not replace torch or what else is heavy there.

    Parameters
    ----------
    address : str, optional
        Address of the git repository, such as ``"https://example.org/course.git"``.
        Without one the cell says how to set it.
    version : str
        The version to install; the repository has a tag ``v`` + `version`.
    extras : sequence of str, optional
        Optional parts of the package that the lesson needs.

    Returns
    -------
    str
        Python source of at most 25 lines, without magics.

    Examples
    --------
    >>> "course.git@v0.1.0" in setup_cell("https://example.org/course.git", "0.1.0")
    True
    """
    if address is None:
        return (_HEAD + _NO_ADDRESS).rstrip()
    requirement = f"git+{address}@v{version}"
    if extras:  # older pips know "name @ git+file://" not, so only where it is needed
        requirement = f"coursekit[{','.join(extras)}] @ {requirement}"
    return (_HEAD + _INSTALL.replace("REQUIREMENT", requirement)).rstrip()


def colab_badge(address: str | None, version: str, *, notebook: str) -> str:
    """Return the Markdown of a lesson's "Open in Colab" badge.

    Parameters
    ----------
    address : str, optional
        Address of the git repository. Colab opens notebooks from GitHub only.
    version : str
        The version whose tag the badge opens, the one that the set-up cell installs.
    notebook : str
        Path of the notebook in the repository.

    Returns
    -------
    str
        Empty without an address that Colab can open.

    Examples
    --------
    >>> colab_badge(None, "0.1.0", notebook="notebooks/01_convolutions.ipynb")
    ''
    """
    host = "https://github.com/"
    if address is None or not address.startswith(host):
        return ""
    repository = address.removeprefix(host).removesuffix("/").removesuffix(".git")
    colab = "https://colab.research.google.com"
    link = f"{colab}/github/{repository}/blob/v{version}/{notebook}"
    return f"[![Open in Colab]({colab}/assets/colab-badge.svg)]({link})"
