"""An editor that is missing: no test is passed over unnoticed where everything is tested."""

from __future__ import annotations

import pytest
from support.editors import need


def test_it_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-editor is not installed"):
        need("no-such-editor", "a-package")


def test_elsewhere_it_is_a_reason_to_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install a-package"):
        need("no-such-editor", "a-package")


def test_one_that_is_there_is_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    need("sh", "dash")
