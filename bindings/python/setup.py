"""Setup: puts libspanspool.so into the wheel, which is why it is one for this platform and for any Python 3.

The library is `target/release/libspanspool.so` of the checkout, built with cargo when absent; the environment variable
SPANSPOOL_LIBRARY names another one. A source distribution carries the Rust crate and needs cargo as well.
"""

import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
# In a source distribution: the crate as cargo packs it.
CRATE = HERE / "spanspool.crate"
LIBRARY = "libspanspool.so"


def version() -> str:
    manifest = sources() / "Cargo.toml"
    found = re.search(r'^version = "([^"]+)"', manifest.read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f"{manifest} names no version")
    return found[1]


def sources() -> Path:
    """The crate: the checkout, or what a source distribution carries."""
    if not CRATE.exists():
        return CHECKOUT
    folder = HERE / "crate"
    if not folder.exists():
        with tarfile.open(CRATE) as packed:
            packed.extractall(folder)
    return next(folder.iterdir())


def cargo(*arguments: str, folder: Path) -> None:
    try:
        subprocess.run(["cargo", *arguments], cwd=folder, check=True)
    except FileNotFoundError:
        raise SystemExit(
            f"there is no {LIBRARY} yet and no cargo to build it: install Rust (https://rustup.rs), "
            "or name a library in SPANSPOOL_LIBRARY"
        ) from None


def library() -> Path:
    """The shared library that the wheel carries."""
    if named := os.environ.get("SPANSPOOL_LIBRARY"):
        return Path(named)
    target = Path(os.environ.get("CARGO_TARGET_DIR") or sources() / "target")
    built = target / "release" / LIBRARY
    if not built.exists():
        cargo("build", "--release", "--lib", "--locked", folder=sources())
    return built


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            shutil.copyfile(library(), Path(self.build_lib) / "spanspool" / LIBRARY)


class PlatformWheel(bdist_wheel):
    def finalize_options(self) -> None:
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self) -> tuple[str, str, str]:
        # The library is loaded with ctypes: it knows nothing of Python's version.
        return "py3", "none", super().get_tag()[2]


class SourceWithCrate(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        packed = CRATE
        if not packed.exists():
            cargo("package", "--no-verify", "--allow-dirty", "--quiet", folder=CHECKOUT)
            target = Path(os.environ.get("CARGO_TARGET_DIR") or CHECKOUT / "target")
            packed = target / "package" / f"spanspool-{version()}.crate"
        shutil.copyfile(packed, Path(base_dir) / CRATE.name)


setup(
    version=version(),
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel, "sdist": SourceWithCrate},
)
