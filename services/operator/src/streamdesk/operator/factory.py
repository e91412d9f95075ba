"""Wires the operator."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.operator.adapters.kubernetes.api import KubernetesApi, login
from streamdesk.operator.adapters.kubernetes.events import EventPoster
from streamdesk.operator.adapters.kubernetes.lease import LeaderLease
from streamdesk.operator.adapters.kubernetes.pool_watch import PoolWatch
from streamdesk.operator.adapters.kubernetes.pools import PoolResources
from streamdesk.operator.adapters.kubernetes.workload import Workloads
from streamdesk.operator.adapters.sentinels import sentinels_of
from streamdesk.operator.adapters.streams.sources import StreamSources
from streamdesk.operator.application.reconcile_pool import PoolReconciler
from streamdesk.operator.application.reconcile_rounds import ReconcileRounds
from streamdesk.operator.application.watch_masters import MasterWatchdog, Report
from streamdesk.operator.config import Settings
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.entrypoints import schedule
from streamdesk.operator.errors import OperatorError
from streamdesk.runtime import BadSettingError, Service, ServiceTask, logger

log = logger(__name__)


def access(settings: Settings) -> tuple[KubernetesApi, str]:
    """The API server, and the namespace of the pools.

    Raises:
        BadSettingError: there are no credentials, or no namespace.
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


def report_of(
    events: EventPoster, namespace: str, pod: str | None, may_act: Callable[[], bool]
) -> Report:
    """How the watchdog reports: in the log, and if this operator acts, as an event of its pod."""

    async def report(transition: Transition) -> None:
        if pod is None or not may_act():
            say = log.warning if transition.warning else log.info
            say(transition.message, reason=transition.reason)
            return
        meta = {"name": pod, "namespace": namespace}
        about = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        await events.post(about, transition, time.time())

    return report


@asynccontextmanager
async def build(settings: Settings, service: Service) -> AsyncIterator[Sequence[ServiceTask]]:
    """The tasks of the operator: rounds over the pools, and with Sentinels the watchdog."""
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
        name, lasts = settings.lease_name, settings.lease_seconds
        lease = LeaderLease(api, namespace, name, service.instance, lasts)
        events, resources = EventPoster(api, service.instance), PoolResources(api)
        tick_seconds = min(settings.tick_seconds, settings.lease_seconds / 6)
        rounds = ReconcileRounds(
            resources,
            namespace,
            watch,
            lease,
            PoolReconciler(resources, Workloads(api), sources, events, lambda: lease.held),
            tick_seconds=tick_seconds,
            liveness_seconds=settings.liveness_seconds,
        )
        service.ready_when("kubernetes", lambda: rounds.is_fresh)
        tasks = [ServiceTask("rounds", partial(schedule.reconcile, rounds, tick_seconds))]
        report = report_of(events, namespace, settings.pod_name, lambda: lease.held)
        sentinels = sentinels_of(settings.redis_url.get_secret_value())
        if sentinels is not None:
            watchdog = MasterWatchdog(sentinels, report)
            check = partial(schedule.watch_masters, watchdog, settings.watchdog_seconds)
            tasks.append(ServiceTask("watchdog", check))
        yield tasks
