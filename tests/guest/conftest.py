"""What lies in inside/ runs in the guest; each of its tests is a test here, too.

The first of them boots a guest in which a second pytest runs all that were chosen. Its reports come
one by one through a file that both see, and become the reports of the tests here.
"""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fake.pipewire import READY, compiled
from tests.guest.guest import Guest, GuestError, python_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE = Path(__file__).parent / "inside"

REPORTS = Path("/run/guest/reports")
"""The guest's name of the file that has a line for each report."""

BOOT_PATIENCE = 60.0
TEST_PATIENCE = 20.0
"""Seconds that the guest has, for itself and for each test on average: many times what it needs."""

IN_GUEST = "WAYSHOT_TEST_IN_GUEST"
"""The environment variable that tells the second pytest what it is."""

PYTEST = (
    *(sys.executable, "-m", "pytest", "--quiet", "--color=no"),
    *("-p", "no:cacheprovider", "--basetemp=/tmp/pytest"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Choose by where this runs."""
    if IN_GUEST in os.environ:
        config.pluginmanager.register(InTheGuest(config))
    else:
        config.pluginmanager.register(OnTheHost())


class InTheGuest:
    """Writes the reports to where the host reads them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._file = os.open(REPORTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write a line, through to the host."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        os.write(self._file, json.dumps(data).encode() + b"\n")
        os.fsync(self._file)


class OnTheHost:
    """Leaves the tests of inside/ to the guest, and reports what became of them."""

    def __init__(self) -> None:
        self._guest: ReportingGuest | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        """Take over what lies in inside/."""
        if not item.path.is_relative_to(INSIDE):
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in self._reports(item):
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def pytest_sessionfinish(self) -> None:
        """End the guest."""
        if self._guest:
            self._guest.close()

    def _reports(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Yield a test's reports; one that says why, if the guest has none."""
        if not self._guest:
            tests = [one.nodeid for one in item.session.items if one.path.is_relative_to(INSIDE)]
            self._guest = ReportingGuest(tests)
        try:
            for line in self._guest.lines():
                report: pytest.TestReport = item.config.hook.pytest_report_from_serializable(
                    config=item.config, data=json.loads(line)
                )
                if report.nodeid == item.nodeid:
                    yield report
                    if report.when == "teardown":
                        return
        except GuestError as error:
            yield pytest.TestReport(
                item.nodeid,
                item.location,
                keywords={},
                outcome="failed",
                longrepr=f"{error}\n{self._guest.said()}",
                when="call",
            )


class ReportingGuest:
    """A guest with the second pytest in it."""

    def __init__(self, tests: list[str]) -> None:
        """Take the node ids of the tests. The boot waits until somebody wants a line."""
        self._output = io.BytesIO()
        producer = compiled()
        self._guest = Guest(
            [*PYTEST, *tests],
            mounts=[*python_mounts(), producer.parent],
            env={IN_GUEST: "1", "PYTHONDONTWRITEBYTECODE": "1", READY: str(producer)},
            timeout=BOOT_PATIENCE + TEST_PATIENCE * len(tests),
            output=self._output,
        )
        self._is_started = False
        self._failure: GuestError | None = None
        self._lines = self._read()

    def lines(self) -> Iterator[str]:
        """Go on with the lines of the file, as they come, from where the last caller stopped.

        Raises GuestError when there are no more, and when the guest is no more.
        """
        while True:
            if self._failure:
                raise self._failure
            try:
                yield next(self._lines)
            except StopIteration:
                self._failure = GuestError("the guest's pytest has ended")
            except GuestError as error:
                self._failure = error

    def said(self) -> str:
        """Return what the second pytest has written so far."""
        return self._output.getvalue().decode(errors="replace")

    def close(self) -> None:
        """End the guest."""
        if self._is_started:
            self._guest.close()

    def _read(self) -> Iterator[str]:
        self._guest.start()
        self._is_started = True
        file = self._guest.shared / REPORTS.name
        file.touch()
        is_done = False
        with file.open("rb") as reports:
            while not is_done:
                is_done = self._guest.poll(0.05) is not None
                start = reports.tell()
                whole, newline, _ = reports.read().rpartition(b"\n")
                reports.seek(start + len(whole + newline))
                yield from whole.decode().splitlines()
