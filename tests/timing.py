"""`--slowest N`: which tests take longest, and the CPU that each burns with its children.

The CPU of a child counts for the test in which it ended and was waited for; what outlives all tests
of a worker, as a shared server does, counts for none.
"""

import resource
import time
from collections.abc import Generator

import pytest

KEY = "timing"
Timing = tuple[str, float, float]


def cpu_seconds() -> float:
    """CPU of this process, and of all of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--slowest",
        type=int,
        default=0,
        metavar="N",
        help="print the N slowest tests and their CPU",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure a test with its fixtures."""
    seconds, cpu = time.monotonic(), cpu_seconds()
    item.stash[STARTED] = (seconds, cpu)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Send what a test took with its last report, so that it crosses from a worker to the run."""
    report = yield
    if call.when == "teardown":
        seconds, cpu = item.stash[STARTED]
        taken = (time.monotonic() - seconds, cpu_seconds() - cpu)
        report.user_properties.append((KEY, taken))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table."""
    wanted = terminalreporter.config.getoption("--slowest")
    if not wanted:
        return
    timings: list[Timing] = [
        (report.nodeid, value[0], value[1])
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, value in report.user_properties
        if name == KEY and isinstance(value, tuple | list)
    ]
    timings.sort(key=lambda timing: -timing[1])
    terminalreporter.section(f"slowest {wanted}: seconds, CPU seconds")
    for name, seconds, cpu in timings[:wanted]:
        terminalreporter.write_line(f"{seconds:8.1f} {cpu:8.1f}  {name}")
    total = sum(cpu for _, _, cpu in timings)
    terminalreporter.write_line(f"{'all':>8} {total:8.1f}  {len(timings)} tests")


STARTED = pytest.StashKey[tuple[float, float]]()
