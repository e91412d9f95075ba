import json
from collections.abc import Callable

from tests.e2e.desk import PYTHON, RELEASE, SERVICES, Desk
from tests.e2e.kube import Object, wait_until

Tell = Callable[[str], None]
# A setting of every service changes, so every pod is replaced.
CHANGE = ("--set", "defaults.settings.LOG_LEVEL=debug")
URL = f"http://{RELEASE}-websocket-gateway:8080/"
VISITOR = "e2e-visitor"


def make_visitor(desk: Desk) -> None:
    """A pod that belongs to nobody: it reaches the gateway as another application would."""
    spec: Object = desk.kube.get("pod", desk.stand_in("signal-generator"))["spec"]
    (container,) = spec["containers"]
    kept = {name: container[name] for name in ("image", "securityContext", "resources", "command")}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": VISITOR},
        "spec": {
            "automountServiceAccountToken": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 5,
            "securityContext": spec["securityContext"],
            "containers": [kept | {"name": "visitor", "imagePullPolicy": "IfNotPresent"}],
        },
    }
    desk.kube.run("create", "--filename", "-", stdin=json.dumps(pod))
    desk.kube.run("wait", "--for=condition=Ready", f"pod/{VISITOR}", "--timeout=120s")


def test_an_upgrade_under_load_answers_every_visit_and_loses_no_signal(
    whole: Desk, tell: Tell
) -> None:
    make_visitor(whole)
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
