"""Settings of the operator."""

from pydantic import Field

from streamdesk.runtime import ServiceSettings


class Settings(ServiceSettings):
    """Settings of the operator."""

    watch_namespace: str | None = Field(
        None,
        max_length=63,
        description="Namespace whose ExecutorPools it reconciles, and where its lease is; the "
        "service account's, or the kubeconfig's, unless set.",
    )
    lease_name: str = Field(
        "streamdesk-operator",
        min_length=1,
        max_length=253,
        description="Name of the Lease that one operator holds: of those with the same name and "
        "namespace one acts, the others stand by.",
    )
    lease_seconds: float = Field(
        15,
        ge=3,
        le=600,
        description="Seconds without renewal after which another operator takes the lease: how "
        "long no operator acts after one dies. It is renewed three times as often.",
    )
    pod_name: str | None = Field(
        None,
        max_length=253,
        description="Name of the operator's own pod: events about Redis are shown there.",
    )
    tick_seconds: float = Field(
        2,
        gt=0,
        le=60,
        description="Seconds between two rounds over the pools; a pool's pollSeconds says in which "
        "of them it is reconciled.",
    )
    liveness_seconds: float = Field(
        300,
        ge=30,
        description="Seconds without a successful round, or with resources that its watch does "
        "not show, after which the process ends to be restarted.",
    )
    watchdog_seconds: float = Field(
        5,
        gt=0,
        le=3600,
        description="Seconds between two checks of the Redis master, with all Sentinels and "
        "servers; only with a redis+sentinel:// URL.",
    )
