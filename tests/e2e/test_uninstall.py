from tests.e2e.desk import RELEASE, Desk
from tests.e2e.kube import wait_until


def test_an_uninstall_leaves_nothing_but_what_the_notes_say_is_kept(desk: Desk) -> None:
    # Of the install: values that a later test changed leave what was made before as it is.
    notes = desk.kube.helm("get", "notes", RELEASE, "--revision", "1")
    before = desk.left_over()
    for pod in desk.kube.all_of("pods"):
        if pod["metadata"]["name"].startswith("e2e-"):  # the tests' own
            desk.kube.run("delete", "pod", pod["metadata"]["name"])
    desk.kube.helm("uninstall", RELEASE, "--wait", "--timeout", "5m")

    def kept() -> list[str]:
        return [line for line in desk.left_over() if not line.startswith(("pod/", "endpoint"))]

    secrets = {f"secret/{RELEASE}-{name}" for name in ("redis-auth", "postgres-auth")}
    secrets.add(f"secret/{RELEASE}-websocket-gateway-jwt")
    claims = {line for line in before if line.startswith("persistentvolumeclaim/")}
    assert len(claims) >= 5, "three Redis servers, PostgreSQL and the bar store"
    wait_until(
        lambda: set(kept()) == secrets | claims,
        "the end of everything that is not kept",
        lambda: f"left: {kept()}",
        120,
    )
    for secret in secrets:
        assert secret.partition("/")[2] in notes, f"the notes do not name {secret}"
    for name in ("redis", "postgres"):
        assert f"volume claim of {RELEASE}-{name}" in notes.replace("claims", "claim")
    assert f"volume claim {RELEASE}-analysis-bars" in notes
