import sys

from keras_wsseg.cli import console


def test_own_command_is_what_the_shell_would_find(monkeypatch):
    monkeypatch.setattr(console.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert console.own_command() == "keras-wsseg"
    monkeypatch.setattr(console.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", [".venv/bin/keras-wsseg", "demo"])
    assert console.own_command() == ".venv/bin/keras-wsseg"
    monkeypatch.setattr(sys, "argv", ["pytest"])
    assert console.own_command() == "python -m keras_wsseg.cli"
