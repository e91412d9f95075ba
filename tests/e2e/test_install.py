from tests.e2e.desk import RELEASE, WORKLOADS, Desk
from tests.e2e.kube import is_ready


def test_one_install_from_a_checkout_makes_every_pod_ready(desk: Desk) -> None:
    desk.wait_until_up()
    for components in WORKLOADS.values():
        for component in components:
            pods = desk.kube.pods(component)
            assert pods, component
            assert all(is_ready(pod) for pod in pods), component


def test_helm_test_passes(whole: Desk) -> None:
    output = whole.kube.helm("test", RELEASE, "--timeout", "5m")
    assert output.count("Succeeded") >= 4, output
    assert "Failed" not in output, output
