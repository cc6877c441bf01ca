"""Kernels that are spoken to over files in a folder of their own.

Jupyter looks for ports that are free and closes them again for the kernel to open a second later. Where many programs
start at once, another one has them by then, and the kernel dies: "Address already in use".
"""

import os
import shutil
import tempfile

from jupyter_client.manager import AsyncKernelManager, KernelManager
from traitlets import HasTraits, default


class _OverFiles(HasTraits):  # or the defaults here would not count
    @default("transport")
    def _over_files(self):
        return "ipc" if os.name == "posix" else "tcp"

    @default("ip")
    def _own_folder(self):
        if self.transport == "tcp":
            return "127.0.0.1"
        self._folder = tempfile.mkdtemp(prefix="k")  # the names of sockets may have about a hundred letters
        return os.path.join(self._folder, "k")

    def start_kernel(self, **options):
        """Where this variable is set, ipykernel does not show what C++ writes to stderr: readers would see it in red."""
        environment = dict(options.pop("env", None) or os.environ)
        environment.pop("PYTEST_CURRENT_TEST", None)
        return super().start_kernel(env=environment, **options)

    def cleanup_ipc_files(self):
        super().cleanup_ipc_files()
        if self.transport == "ipc":
            shutil.rmtree(self._folder, ignore_errors=True)


class Kernel(_OverFiles, AsyncKernelManager):
    """For nbclient."""


class BlockingKernel(_OverFiles, KernelManager):
    """For nbval."""
