import json
from collections.abc import Callable

from tests.e2e.desk import IDLE, PYTHON, RELEASE, SERVICES, Desk
from tests.e2e.kube import wait_until

Tell = Callable[[str], None]
# A setting of every service changes, so every pod is replaced.
CHANGE = ("--set", "defaults.settings.LOG_LEVEL=debug")
URL = f"http://{RELEASE}-websocket-gateway:8080/"
VISITOR = "e2e-visitor"


def test_an_upgrade_under_load_answers_every_visit_and_loses_no_signal(
    whole: Desk, tell: Tell
) -> None:
    whole.outsider(VISITOR, [PYTHON, "-c", IDLE])
    before = {pod["metadata"]["uid"] for name in SERVICES for pod in whole.kube.pods(name)}
    with whole.load(rate=10) as load, whole.start_in(VISITOR, "visit.py", URL) as visits:
        wait_until(lambda: len(load.acked) >= 40, "some signals")
        seconds = whole.upgrade(*CHANGE)
        whole.wait_until_up()
        count = len(load.acked)
        wait_until(lambda: len(load.acked) >= count + 40, "more signals")
        answers: dict[str, int] = json.loads(visits.communicate("", timeout=120)[0])
    whole.wait_until_decided(load)
    whole.wait_until_books_agree()
    after = {pod["metadata"]["uid"] for name in SERVICES for pod in whole.kube.pods(name)}
    tell(f"upgraded in {seconds:.0f} s; {len(load.acked)} signals; visits by answer: {answers}")
    assert not before & after, "every service's pod was to be replaced"
    assert set(answers) == {"200"}
    assert PYTHON in str(whole.kube.get("pod", VISITOR)["spec"])
