"""What pytest has to know before it looks for tests, and what several files of tests share."""

from __future__ import annotations

import sys

import pytest

# Scripts that tests run as processes of their own; some limit or kill the process that imports them.
collect_ignore = ["hazards"]


@pytest.fixture
def folder(request, tmp_path, monkeypatch):
    """A working folder with model.py, the MODEL of the test file; its modules are forgotten after the test."""
    (tmp_path / "model.py").write_text(request.module.MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in repr(module):
            del sys.modules[name]
