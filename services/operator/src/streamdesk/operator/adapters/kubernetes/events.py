"""Kubernetes events about a pool, or about the operator's own pod."""

import secrets

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi, timestamp
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.errors import KubernetesError
from streamdesk.runtime import logger

log = logger(__name__)


class EventPoster:
    """Posts events.

    Args:
        api: the API server.
        instance: the operator's name, shown with its events.
    """

    def __init__(self, api: KubernetesApi, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def post(self, about: JsonObject, transition: Transition, at_seconds: float) -> None:
        """Post one event, and log it. If posting fails the event is lost: nothing depends on it.

        Args:
            about: the object that it is about: apiVersion, kind, metadata.
            transition: what happened.
            at_seconds: when, since the epoch.
        """
        at, meta = timestamp(at_seconds), about["metadata"]
        say = log.warning if transition.warning else log.info
        say(transition.message, reason=transition.reason, kind=about["kind"], name=meta["name"])
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name']}.{secrets.token_hex(8)}",
                "namespace": meta["namespace"],
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                **({"uid": meta["uid"]} if "uid" in meta else {}),
            },
            "type": "Warning" if transition.warning else "Normal",
            "reason": transition.reason,
            "message": transition.message,
            "count": 1,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": "streamdesk-operator", "host": self._instance},
            "reportingComponent": "streamdesk.io/operator",
            "reportingInstance": self._instance,
        }
        try:
            await self._api.create(f"/api/v1/namespaces/{meta['namespace']}/events", event)
        except KubernetesError as error:
            log.warning("event not posted", reason=transition.reason, error=str(error))
