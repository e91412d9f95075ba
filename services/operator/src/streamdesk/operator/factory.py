"""Wires the operator."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.operator.adapters.kubernetes.api import KubernetesApi, login
from streamdesk.operator.adapters.kubernetes.lease import LeaderLease
from streamdesk.operator.adapters.kubernetes.pool_watch import PoolWatch
from streamdesk.operator.adapters.kubernetes.status import EventPoster
from streamdesk.operator.adapters.sentinels import Tell, watchdog_of
from streamdesk.operator.adapters.streams.sources import StreamSources
from streamdesk.operator.application.reconcile_loop import ReconcileRounds
from streamdesk.operator.application.reconcile_pool import PoolReconciler
from streamdesk.operator.config import Settings
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.errors import OperatorError
from streamdesk.runtime import BadSettingError, Service, Work, logger

log = logger("operator")


def access(settings: Settings) -> tuple[KubernetesApi, str]:
    """The API server, and the namespace to look after.

    Raises:
        BadSettingError: there is no access, or no namespace.
    """
    try:
        api = KubernetesApi(login)
    except OperatorError as error:
        raise BadSettingError("KUBECONFIG", "unset", str(error)) from error
    namespace = settings.watch_namespace or api.namespace
    if not namespace:
        expected = "the namespace of the pools; the kubeconfig names none"
        raise BadSettingError("WATCH_NAMESPACE", "unset", expected)
    return api, namespace


def teller(
    reporter: EventPoster, namespace: str, pod: str | None, may_act: Callable[[], bool]
) -> Tell:
    """How the watchdog says what it found: in the log, and, if we act, with our own pod."""

    async def tell(news: Transition) -> None:
        if pod is None or not may_act():
            say = log.warning if news.warning else log.info
            say(news.message, reason=news.reason)
            return
        meta = {"name": pod, "namespace": namespace}
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        await reporter.tell(about, news, time.time())

    return tell


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[Work]]:
    """The works of the operator."""
    async with AsyncExitStack() as stack:
        api, namespace = access(settings)
        await stack.enter_async_context(api)
        config = BusConfig(**settings.bus_config(service.name, Wait))
        bus = await stack.enter_async_context(Bus.connect(config, service.bus_observer()))
        sources = StreamSources(api, bus, config, service.bus_observer())
        stack.push_async_callback(sources.close)
        watch = PoolWatch(namespace, login)
        stack.push_async_callback(watch.stop)
        await watch.start()
        lease = LeaderLease(
            api, namespace, settings.lease_name, service.instance, settings.lease_seconds
        )
        reporter = EventPoster(api, service.instance)
        rounds = ReconcileRounds(
            api,
            namespace,
            watch,
            lease,
            PoolReconciler(api, sources, reporter, lambda: lease.held),
            tick_seconds=min(settings.tick_seconds, settings.lease_seconds / 6),
            liveness_seconds=settings.liveness_seconds,
        )
        service.ready_when("kubernetes", lambda: rounds.is_fresh)
        tell = teller(reporter, namespace, settings.pod_name, lambda: lease.held)
        url = settings.redis_url.get_secret_value()
        watchdog = watchdog_of(url, tell, settings.watchdog_seconds)
        works = [Work("rounds", rounds.run)]
        yield [*works, Work("watchdog", watchdog.run)] if watchdog else works
