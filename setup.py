"""The compiled core: one extension, each flag with its reason. Everything else is in pyproject.toml.

Environment switches, for the tests (``make check-core``):

* ``ACCRUAL_NO_CLONES=1``  only the x86-64 baseline, as on a compiler or CPU without the faster tiers;
* ``ACCRUAL_SANITIZE=1``   under AddressSanitizer and UndefinedBehaviorSanitizer;
* ``ACCRUAL_ANNOTATE=1``   Cython's annotated HTML beside the source.
"""

import os
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

flags = [
    "-O3",  # vectorises the block loops; -O2 of GCC 11 and older does not
    "-fno-math-errno",  # sqrt becomes one instruction; nothing reads errno
    "-fno-trapping-math",  # lets selects be vectorised; nothing reads the floating-point exception flags
    # No fused multiply-add: it would give other last bits where the CPU has it. Equal bits cost 0.15 ns a heartbeat.
    "-ffp-contract=off",
    # Never -ffast-math: it cancels the magic-constant rounding (a relative error of 0.49 was measured) and deletes
    # NaN checks. Never -march=native: a wheel leaves the machine that built it.
]
links: list[str] = []
macros: list[tuple[str, str | None]] = []
options: dict[str, dict[str, str]] = {}

if sys.platform == "win32":
    # MSVC has no 128-bit integers, and clang-cl has them without their division. MinGW's GCC has both, in libgcc, which
    # goes into the extension. Python's headers tell MSVC, but not always GCC, that it is 64-bit Windows.
    options = {"build_ext": {"compiler": "mingw32"}}
    links = ["-static-libgcc"]
    macros = [("MS_WIN64", None)]

if os.environ.get("ACCRUAL_NO_CLONES") == "1":
    macros.append(("ACCRUAL_NO_CLONES", "1"))
if os.environ.get("ACCRUAL_SANITIZE") == "1":
    # -O1 and frame pointers give reports that name the line; -fno-sanitize-recover makes a finding a failure.
    # -fno-wrapv takes back Python's own -fwrapv, under which a signed overflow is no finding.
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-wrapv"]
    flags += [*sanitize, "-O1", "-g", "-fno-omit-frame-pointer"]
    links += sanitize

extension = Extension(
    "accrual.core.engine",
    ["accrual/core/engine.pyx"],
    depends=[
        f"accrual/core/{name}"
        for name in (
            *("special.h", "special_tables.h", "window.h", "order.h"),
            *("laws.pxd", "estimators.pxd", "expected.pxd"),
        )
    ],
    extra_compile_args=flags,
    extra_link_args=links,
    define_macros=macros,
)

# Scripts that make what a package consists of; they live beside it and stay at home.
MAKERS = {
    ("accrual.core", "make_tables"),
    ("accrual.data", "make_manifest"),
    ("accrual.data", "record_labs"),
    ("accrual.data", "record_vm"),
    ("accrual.lessons", "build"),
}


class BuildPackages(build_py):
    def find_package_modules(self, package, package_dir):
        return [found for found in super().find_package_modules(package, package_dir) if found[:2] not in MAKERS]


setup(
    cmdclass={"build_py": BuildPackages},
    options=options,
    ext_modules=cythonize(
        [extension],
        annotate=os.environ.get("ACCRUAL_ANNOTATE") == "1",
        compiler_directives={"language_level": 3, "embedsignature": True},
    ),
)
