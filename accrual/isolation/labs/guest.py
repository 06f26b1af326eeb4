"""What a virtual machine needs: a kernel, which is there or was unpacked by somebody, and a world, packed here.

The guest is a Linux of this machine's own kind (x86-64) with one program, busybox, or with this Python and what it is
linked with; qemu interprets it (TCG), so neither hardware nor rights are asked for, and it is some ten times as slow.
"""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from accrual.lab import Lack

__all__ = ["ONLINE", "Kernel", "initrd", "kernel", "lacking", "machine", "network_modules", "python_world"]

_QEMU: Final = "qemu-system-x86_64"
NETWORK: Final = (
    "failover",
    "net_failover",
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_net",
)
"""The modules that a Debian kernel needs for a network card of qemu's."""


ONLINE: Final = """
export PATH=/bin
for round in 1 2 3 4  # whatever the order in which they need one another
do for module in /modules/*; do busybox insmod $module 2>/dev/null; done; done
busybox ip link set lo up
busybox ip link set eth0 up
busybox ip addr add 10.0.2.15/24 dev eth0
"""
"""What a guest runs to be on qemu's user network, in which the host is 10.0.2.2; needs `network_modules`."""


class Kernel(NamedTuple):
    """An image, and the folder with its modules (lib/modules/VERSION), which may be missing."""

    image: Path
    modules: Path


def _roots() -> list[Path]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (
        [Path(os.environ["ACCRUAL_KERNEL"])]
        if "ACCRUAL_KERNEL" in os.environ
        else [cache / "accrual/kernel", Path("/")]
    )


def kernel() -> Kernel | None:
    """A kernel that this user may read, or None.

    Looked for as boot/vmlinuz-VERSION below the folder that ACCRUAL_KERNEL names; without it, below accrual/kernel in
    the user's folder for caches, and at the top, where a system has its own.
    """
    for root in _roots():
        for image in sorted(root.glob("boot/vmlinuz-*"), key=lambda one: one.stat().st_mtime, reverse=True):
            if os.access(image, os.R_OK):
                return Kernel(image, root / "lib/modules" / image.name.removeprefix("vmlinuz-"))
    return None


def lacking() -> list[Lack]:
    """What this machine lacks for it."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return [Lack("Linux on x86-64", "the guest is made of this machine's own programs: run it on such a machine")]
    packages = {_QEMU: ("qemu", "qemu-system-x86"), "busybox": ("busybox", "busybox-static")}
    lacks = [
        Lack(f"the program {program}", f"install {name}; Debian: apt install {debian}")
        for program, (name, debian) in packages.items()
        if shutil.which(program) is None
    ]
    if kernel() is None:
        lacks.append(
            Lack(
                "a Linux kernel that you may read",
                "Debian: apt install linux-image-cloud-amd64; elsewhere, sudo chmod a+r /boot/vmlinuz-*, or have "
                "ACCRUAL_KERNEL name a folder with boot/vmlinuz-VERSION",
            )
        )
    return lacks


def machine(
    image: Path, packed: Path, console: Path, memory: int, options: Sequence[str] = (), append: str = ""
) -> list[str]:
    """What starts a virtual machine, its second serial port being standard input and output.

    Parameters
    ----------
    image, packed : path
        The kernel and the initrd.
    console : path
        Where the guest's kernel writes what it has to say.
    memory : int
        That the guest has [MiB].
    options, append : sequence of str, str
        Further ones, of qemu and of the kernel.
    """
    # A PC, though microvm boots with less work: on a busy host that one's kernel cannot find out how fast its clock
    # goes, and hangs. A panic reboots at once, by a triple fault, and that ends it.
    words = f"console=ttyS0 quiet panic=-1 reboot=t nokaslr mitigations=off {append}"
    return [
        *(_QEMU, "-accel", "tcg", "-machine", "pc", "-m", str(memory), "-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none", "-serial", f"file:{console}", "-serial", "stdio"),
        *("-kernel", str(image), "-initrd", str(packed), "-append", words.strip()),
        *options,
    ]


def initrd(target: Path, init: str, files: Mapping[str, bytes | Path] | None = None) -> None:
    """Pack a guest's whole world: busybox, what shall run first, and more files.

    Parameters
    ----------
    target : path
        The archive, in cpio's "newc" format.
    init : str
        A shell script; below #!/bin/busybox sh, with /proc and /dev mounted.
    files : mapping
        From the path in the guest to what is in it.
    """
    busybox = Path(shutil.which("busybox") or "/bin/busybox")
    head = "#!/bin/busybox sh\n/bin/busybox mount -t proc none /proc\n/bin/busybox mount -t devtmpfs none /dev\n"
    world: dict[str, bytes | Path] = {"/bin/busybox": busybox, "/init": (head + init).encode(), **(files or {})}
    world |= {str(library): library for library in _libraries(busybox)}
    folders = {"/proc", "/dev", "/tmp"} | {str(above) for path in world for above in Path(path).parents} - {"/"}  # noqa: S108
    with target.open("wb") as packed:
        number = 0
        for name in sorted(folders):
            number += 1
            packed.write(_entry(number, name, stat.S_IFDIR | 0o755, b""))
        for name, content in world.items():
            number += 1
            data = content.read_bytes() if isinstance(content, Path) else content
            packed.write(_entry(number, name, stat.S_IFREG | 0o755, data))
        packed.write(_entry(0, "TRAILER!!!", 0, b""))


def _entry(number: int, name: str, mode: int, data: bytes) -> bytes:
    path = name.lstrip("/").encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, four numbers of devices, length of the name, no checksum
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def _libraries(binary: Path) -> set[Path]:
    """What a binary is linked with; nothing if it is static."""
    said = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    return {Path(word) for word in said.stdout.split() if word.startswith("/")} if not said.returncode else set()


def python_world(*programs: str | os.PathLike[str]) -> dict[str, bytes | Path]:
    """This Python and what programs import, with what both are linked with, for `initrd`.

    Parameters
    ----------
    *programs : path
        Of the standard library only. What they import in functions counts, too: every import statement is looked at.
    """
    finder = [sys.executable, "-IS", "-c", _IMPORTS, *(str(Path(one)) for one in programs)]
    said = subprocess.run(finder, capture_output=True, text=True, check=True).stdout  # noqa: S603  # this interpreter
    files = {Path(line) for line in said.splitlines()}
    python = Path(os.path.realpath(sys.executable))
    linked = {one for binary in (python, *files) if binary.suffix != ".py" for one in _libraries(binary)}
    # The interpreter finds its library by these two, whatever is in them.
    library = Path(sysconfig.get_path("stdlib"))
    landmarks: dict[str, bytes | Path] = {
        str(library / "os.py"): library / "os.py",
        f"{library}/lib-dynload/.here": b"",
    }
    return landmarks | {str(path): path for path in {python, *files, *linked}}


# Imports all that the programs do, in a process of its own, and says from which files that came.
_IMPORTS: Final = """
import ast, importlib, sys
import encodings.utf_8, encodings.ascii, encodings.idna, encodings.latin_1
for program in sys.argv[1:]:
    for node in ast.walk(ast.parse(open(program).read())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        for name in names:
            if name.partition('.')[0] in sys.stdlib_module_names:
                importlib.import_module(name)
for module in list(sys.modules.values()):
    file = getattr(module, '__file__', None)
    if file:
        print(file)
"""


def network_modules(modules: Path) -> dict[str, bytes | Path]:
    """The modules for qemu's network card, for `initrd`; those that are there, for they may be in the kernel itself."""
    return {f"/modules/{path.name}": path for path in modules.rglob("*.ko") if path.stem in NETWORK}
