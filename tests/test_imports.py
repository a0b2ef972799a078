"""Every module can be imported first and alone, with warnings as errors."""

from __future__ import annotations

import subprocess
import sys

import pytest

from scripts import gendocs

# Each module in a child that was forked from an interpreter which has loaded none of ours: the
# same as a process of its own, for a tenth of the time.
_EACH_ALONE = """
import os, sys, traceback
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            __import__(name)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
print(*failed)
"""


@pytest.mark.parametrize("package", gendocs.PACKAGES)
def test_every_module_imports_alone_without_a_warning(package: str) -> None:
    names = [module.__name__ for module in gendocs.modules()]
    ours = [name for name in names if name.partition(".")[0] == package]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _EACH_ALONE, *ours], capture_output=True, text=True
    )
    assert (done.stdout.split(), done.stderr) == ([], "")


@pytest.mark.parametrize("module", ["goosectl.serve", "goosectl.token", "goosectl.bundle"])
def test_a_noun_loads_no_server_before_it_runs(module: str) -> None:
    probe = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert module in loaded
    assert (
        loaded & {"goosed_daemon.web", "aiohttp", "asyncio", "pydantic", "yaml", "jinja2"} == set()
    )
